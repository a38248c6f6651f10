"""Mix and match networks (Wang, van de Weijer, Herranz, CVPR 2018): zero-pair image translation.

The modules follow the paper's order, and imports only point backwards along it:
`modalities → data → blocks → networks → losses → recipes → training → evaluation`.
"""

__version__ = "0.1.0"
