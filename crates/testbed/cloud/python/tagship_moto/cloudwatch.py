"""CloudWatch's percentiles, which moto doesn't know."""

import math
import re

from moto.cloudwatch.models import Statistics

_moto_statistic = Statistics.get_statistics_for_type
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


def _statistic(self: Statistics, stat: str):
    """As moto's; of a percentile the value below which so many of them are."""
    found = _PERCENTILE.fullmatch(stat)
    if found is None:
        return _moto_statistic(self, stat)
    values = sorted(self.metric_single_values_list)
    return values[max(math.ceil(float(found[1]) / 100 * len(values)) - 1, 0)] if values else 0.0


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    Statistics.get_statistics_for_type = _statistic
