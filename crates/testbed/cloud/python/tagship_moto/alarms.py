"""Metric alarms, evaluated whenever figures come, as CloudWatch does each period; moto leaves them as they were set."""

import ast
import operator
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend

_put_data = CloudWatchBackend.put_metric_data
_put_alarm = CloudWatchBackend.put_metric_alarm

# A value for each period that has one, by the period's start in seconds.
Series = dict[int, float]

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_OVER = {"MAX": max, "MIN": min, "SUM": sum, "AVG": lambda values: sum(values) / len(values)}


def _put_and_evaluate(self: CloudWatchBackend, *args, **kwargs) -> None:
    _put_data(self, *args, **kwargs)
    for alarm in list(self.alarms.values()):
        if alarm.rule is None:
            _evaluate(self, alarm)


def _put_checked(self: CloudWatchBackend, *args, **kwargs) -> Alarm:
    """Refuses what can't be evaluated here, rather than have an alarm that never rings."""
    for query in kwargs.get("metric_data_queries") or []:
        try:
            if query.expression:
                _value(ast.parse(query.expression, mode="eval").body, defaultdict(dict), [])
        except (SyntaxError, TypeError) as error:
            raise ValidationError(f"{query.expression}: not played on one machine: {error}") from error
    return _put_alarm(self, *args, **kwargs)


def _evaluate(backend: CloudWatchBackend, alarm: Alarm) -> None:
    """The state that the last whole periods give; a change of it is kept with its reason."""
    series, period = _series(backend, alarm)
    count = int(alarm.evaluation_periods or 1)
    ended = int(datetime.now(UTC).timestamp()) // period * period
    points = [series.get(ended - n * period) for n in range(1, count + 1)]
    there = [point for point in points if point is not None]
    treated = alarm.treat_missing_data or "missing"
    if not there and treated == "ignore":
        return
    breaches = _BREACHES[alarm.comparison_operator]
    breaching = sum(breaches(point, float(alarm.threshold)) for point in there)
    if treated == "breaching":
        breaching += len(points) - len(there)
    if not there and treated == "missing":
        state, reason = "INSUFFICIENT_DATA", f"Insufficient Data: {count} datapoints were unknown."
    else:
        state = "ALARM" if breaching >= int(alarm.datapoints_to_alarm or count) else "OK"
        shown = ", ".join(f"{point:g}" for point in there)
        reason = f"Threshold Crossed: {breaching} of the last {count} datapoints [{shown}] against {float(alarm.threshold):g}."
    if state != alarm.state_value:
        alarm.update_state(reason, "{}", state)


def _series(backend: CloudWatchBackend, alarm: Alarm) -> tuple[Series, int]:
    """What the alarm looks at, and its period in seconds."""
    if not alarm.metric_data_queries:
        stat = alarm.extended_statistic or alarm.statistic
        metric = (alarm.namespace, alarm.metric_name, alarm.dimensions)
        return _read(backend, metric, int(alarm.period), stat, alarm), int(alarm.period)
    stats = [query for query in alarm.metric_data_queries if query.metric_stat]
    period = max(int(query.metric_stat.period) for query in stats)
    known: dict[str, Series] = {}
    for query in stats:
        of = query.metric_stat
        metric = (of.metric.namespace, of.metric.metric_name, of.metric.dimensions)
        known[query.id] = _read(backend, metric, period, of.stat, alarm)
    starts = sorted({start for series in known.values() for start in series})
    # A query may use what stands after it.
    expressions = [query for query in alarm.metric_data_queries if query.expression]
    for _ in expressions:
        for query in expressions:
            try:
                known[query.id] = _value(ast.parse(query.expression, mode="eval").body, known, starts)
            except KeyError:
                continue
    returned = next(query.id for query in alarm.metric_data_queries if query.return_data not in (False, "false"))
    return known.get(returned, {}), period


def _read(backend: CloudWatchBackend, metric: tuple, period: int, stat: str, alarm: Alarm) -> Series:
    namespace, name, dimensions = metric
    now = int(datetime.now(UTC).timestamp())
    since = now // period * period - (int(alarm.evaluation_periods or 1) + 1) * period
    dimensions = [{"Name": dimension.name, "Value": dimension.value} for dimension in dimensions]
    of = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    query = {"Id": "m", "MetricStat": {"Metric": of, "Period": period, "Stat": stat}}
    # moto's times name no zone.
    start, end = (datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in (since, now + 1))
    [found] = backend.get_metric_data([query], start, end)
    pairs = zip(found["timestamps"], found["values"], strict=True)
    return {int(at.replace(tzinfo=UTC).timestamp()): float(value) for at, value in pairs}


def _value(node: ast.expr, known: dict[str, Series], starts: list[int]):
    """Metric math, as far as infra/service.yaml uses it: a series, a list of series, or a number."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return known[name]
        case ast.List(elts=items):
            return [_value(item, known, starts) for item in items]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _both(_OPERATORS[type(op)], _value(left, known, starts), _value(right, known, starts))
        case ast.Call(func=ast.Name(id="FILL"), args=[series, ast.Constant(value=filled)]):
            series = _value(series, known, starts)
            return {start: series.get(start, filled) for start in starts}
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=items)]) if name in _OVER:
            found = [_value(item, known, starts) for item in items]
            values = {start: [series[start] for series in found if start in series] for start in starts}
            return {start: _OVER[name](there) for start, there in values.items() if there}
    raise TypeError(f"unknown: {ast.unparse(node)}")


def _both(operation: Callable, left, right):
    """Point by point; what divides by 0 or stands on one side only is no point."""
    if not isinstance(left, dict) and not isinstance(right, dict):
        return operation(left, right)
    starts = left if isinstance(left, dict) else right
    both: Series = {}
    for start in starts:
        a, b = (side.get(start) if isinstance(side, dict) else side for side in (left, right))
        if a is not None and b is not None and not (operation is operator.truediv and b == 0):
            both[start] = operation(a, b)
    return both


def install() -> None:
    """Puts this module's behaviour in place of moto's."""
    CloudWatchBackend.put_metric_data = _put_and_evaluate
    CloudWatchBackend.put_metric_alarm = _put_checked
