"""The lazy baseline: one answer per modality, which looks at no input. What a translation is worth is what it adds."""

import torch

from ..data.sets import Rooms
from ..data.sources import spread
from ..networks import Encoding, Translator


class Lazy(Translator):
    """The same answer for every pixel of every image, taken from training sets.

    Of class ids it is the most frequent class, of maps with one number per pixel the median, of others the mean colour.
    """

    def __init__(self, *sets: Rooms):
        super().__init__({name: record for rooms in sets for name, record in rooms.records.items()})
        self.answers = {}
        for name, record in self.records.items():
            rooms = next(rooms for rooms in sets if name in rooms.modalities)
            raw = rooms.batch(spread(len(rooms), 500))[name].movedim(1, 0).flatten(1)  # (C, pixels)
            if record.classes:
                answer = raw[raw > 0].mode().values
            elif len(raw) == 1:
                answer = raw.median()
            else:
                answer = raw.float().mean(1)
                answer = answer if raw.is_floating_point() else answer.round()
            self.answers[name] = answer.to(raw.dtype).view(1, -1, 1, 1)

    def encode(self, image: torch.Tensor, source: str) -> Encoding:
        """The image itself, of which `decode` takes the size alone."""
        self.check_image(image, source)
        return Encoding(image, (image,), (), ())

    def decode(self, encoding: Encoding, target: str) -> torch.Tensor:
        self.check(target)
        count, _, height, width = encoding.latent.shape
        answer = self.answers[target].to(encoding.latent.device).expand(count, -1, height, width)
        return self.records[target].to_input(answer)
