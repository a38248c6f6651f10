"""Pictures of data, translations and results: every function returns a `Picture` on white, for light and dark pages.

Lines and bars use Okabe and Ito's colours, which colour-blind readers can tell apart, and a second sign beside colour
(dashes, hatching). Classes keep SceneNet's colours, with their names in a legend. Each picture says in words what it
shows (`alt`).
"""

from .features import fused, pooling
from .images import all_translations, class_image, depth_image, rgb_image, splits, translations
from .networks import diagram
from .picture import Picture, label
from .results import compared_curves, headline, loss_curves, per_class_iou

__all__ = [
    "Picture",
    "all_translations",
    "class_image",
    "compared_curves",
    "depth_image",
    "diagram",
    "fused",
    "headline",
    "label",
    "loss_curves",
    "per_class_iou",
    "pooling",
    "rgb_image",
    "splits",
    "translations",
]
