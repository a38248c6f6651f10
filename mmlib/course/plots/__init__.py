"""Pictures of data, translations and results: every function returns a `Picture` on white, for light and dark pages.

Lines and bars use Okabe and Ito's colours, which colour-blind readers can tell apart, and a second sign beside colour
(dashes, hatching). Classes keep SceneNet's colours and have a legend. Each picture says in words what it
shows (`alt`).
"""

from .alignment import alignment_over_time, latent_map
from .autoencoders import copies, functions, latent_channels
from .evaluation import cascaded, confusion, gallery, histogram
from .evidence import qualitative, scattered
from .features import pooling
from .fusion import fused, fusion_curves, mistakes
from .images import all_translations, raw_images, recoloured, sheet, splits, translations
from .live import Watch, seen_and_unseen
from .networks import diagram
from .picture import Picture, label
from .results import headline, loss_curves, per_class_iou
from .scale import domain_costs, hours_by_share, memory_bars, network_costs, stage_shares
from .side_information import agreement_by_stage, compared, index_maps, side_information_bars

__all__ = [
    "Picture",
    "Watch",
    "agreement_by_stage",
    "alignment_over_time",
    "all_translations",
    "cascaded",
    "compared",
    "confusion",
    "copies",
    "diagram",
    "domain_costs",
    "functions",
    "fused",
    "fusion_curves",
    "gallery",
    "headline",
    "histogram",
    "hours_by_share",
    "index_maps",
    "label",
    "latent_channels",
    "latent_map",
    "loss_curves",
    "memory_bars",
    "mistakes",
    "network_costs",
    "per_class_iou",
    "pooling",
    "qualitative",
    "raw_images",
    "recoloured",
    "scattered",
    "seen_and_unseen",
    "sheet",
    "side_information_bars",
    "splits",
    "stage_shares",
    "translations",
]
