"""`make gpu`: each stage ends by itself, and one that fails or is cut stops no other."""

import gpu


def test_a_stage_says_how_it_ended_and_leaves_its_output(tmp_path, capsys):
    gpu.stage("fine", 30, tmp_path, "-c", "print('all is well')")
    gpu.stage("broken", 30, tmp_path, "-c", "raise SystemExit(3)")
    gpu.stage("endless", 1, tmp_path, "-c", "while True: pass")
    said = capsys.readouterr().out
    assert "fine: 0" in said and "all is well" in said and "broken: 3" in said and "endless: cut" in said
    assert (tmp_path / "fine.log").read_text() == "all is well\n"


def test_all_stages_together_take_at_most_nine_minutes():
    assert gpu.LIMIT <= 540
