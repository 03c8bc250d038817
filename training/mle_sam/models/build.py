"""From a configuration to its network."""

from collections.abc import Callable
from importlib import import_module

from mle_sam.config import NetworkConfig
from mle_sam.models.network import Network

# By kind, module and class: imported only where they are built, for not every network needs every
# package.
_NETWORKS = {
    'mle_sam': ('mle_sam', 'MleSam'),
    'sam_lora': ('sam_lora', 'SamLora'),
    'cwsam': ('cwsam', 'Cwsam'),
    'ts_sam': ('ts_sam', 'TsSam'),
    'ad_sam': ('ad_sam', 'AdSam'),
    'cmnext': ('cmnext', 'Cmnext'),
}


def build_network(config: NetworkConfig) -> Network:
    """A new network, with weights drawn from torch's generator."""
    module, name = _NETWORKS[config.kind]
    network: Callable[[NetworkConfig], Network]
    network = getattr(import_module(f'mle_sam.models.{module}'), name)
    return network(config)
