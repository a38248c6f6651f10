"""Commands that make, check and pack data sets."""

from typing import Annotated, Literal

from cyclopts import Parameter

from ..data import packing
from .app import ALL, Folder, Modalities, about, app, at_least_one


@app.command
def render(
    *,
    rooms: Annotated[int, about("How many.")],
    seed: Annotated[int, about("The same seed gives the same rooms.")],
    out: Annotated[Folder, about("Folder for the rooms.")],
    size: Annotated[int, about("Side in pixels.")] = 96,
    modalities: Modalities = ALL,
    processes: Annotated[int | None, about("How many at once; one per core if not given.")] = None,
    samples: Annotated[int, about("Light paths per pixel.")] = 32,
    format: Annotated[Literal["rooms", "scenenet"], about("Layout of the files.")] = "rooms",
    views: Annotated[int, about("Views of each room, with --format scenenet.")] = 3,
) -> None:
    """Render furnished rooms (needs the `render` extra)."""
    from ..rooms import render, trajectories

    if format == "scenenet":
        trajectories.render(rooms, views, seed, size, out, processes, samples)
    else:
        render.render(rooms, seed, size, out, tuple(modalities.split(",")), processes, samples)


@app.command
def check_data(data: Annotated[str, about("A rendered folder, a zip, or a folder of zips or tar shards.")], /) -> int:
    """Read all of a data set and name each bad file."""
    looks: list[str] = []
    problems = packing.check(data, looks)
    print("\n".join(problems) if problems else f"{data}: every file is in order")
    for look in looks:
        print(f"look: {look}")
    return 1 if problems else 0


@app.command
def scenenet(
    root: Annotated[str, about("The folder that holds train or val.")],
    /,
    *,
    classes: Annotated[str, about("Your wnid_to_class.txt: wnid, name, 13_classes.")],
    protobuf: Annotated[list[str] | None, about("An index; may be repeated. Without it, all in ROOT.")] = None,
    chosen: Annotated[Literal["51k", "170k"], Parameter(name="--set", help="The set of section 5.1.")] = "51k",
    check: Annotated[
        int | Literal["all"], Parameter(validator=at_least_one, help="How many views of each set are read.")
    ] = 100,
    shards: Annotated[Folder | None, about("Folder to which d1, d2 and test are written as tar shards.")] = None,
) -> int:
    """Show the paper's sets of a SceneNet RGB-D folder, and name each bad file."""
    from ..data.scenenet import check as read
    from ..data.scenenet import describe, paper_sets
    from ..data.shards import write

    found = paper_sets(root, classes, chosen, protobufs=protobuf)
    print(describe(found))
    problems = [problem for rooms in found for problem in read(rooms, None if check == "all" else check)]
    print("\n".join(problems) if problems else f"{root}: every file that was read is in order")
    if shards and not problems:
        for rooms in found:
            print(f"wrote {write(rooms, shards)} and its shards")
    return 1 if problems else 0


@app.command
def pack(
    directory: Annotated[str, about("The rendered folder.")],
    zip: Annotated[str, about("The zip, named after its split.")],
    /,
    *,
    modalities: Modalities = ALL,
) -> None:
    """Pack a rendered folder into a split's zip that holds some modalities alone."""
    print(packing.pack(directory, zip, tuple(modalities.split(","))))
