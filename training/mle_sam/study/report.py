"""The tables of a study."""

from collections.abc import Callable, Iterable, Sequence

from mle_sam_ros.core.noise import NOISES

from mle_sam.scores import Mean, Score
from mle_sam.study.findings import Finding, Findings
from mle_sam.study.plan import ALL, VARIANT
from mle_sam.tables import Cell, Table

Row = tuple[Cell, ...]
Figure = Callable[[Finding], float | None]
_CAMERA = 'camera'


class StudyReport:
    """Turns what a study found into tables; runs that are not finished leave dashes."""

    def __init__(self, findings: Findings):
        self._findings = findings
        self._networks = _merged(run.network for run in findings.runs if run.group != VARIANT)
        self._seed = findings.study.seeds[0]

    def markdown(self) -> str:
        """A document."""
        return '\n\n'.join(['# Comparison', *(t.markdown() for t in self.tables())]) + '\n'

    def text(self) -> str:
        """For a terminal."""
        return '\n\n\n'.join(table.text() for table in self.tables())

    def tables(self) -> list[Table]:
        """All of them."""
        return [
            self._overview(),
            self._conditions(),
            self._subsets(),
            self._noise(),
            self._classes(),
            self._speed(),
            self._efficiency(),
            self._domains(),
            self._settings(),
        ]

    def _overview(self) -> Table:
        costs = {cost.network: cost for cost in self._findings.costs}
        rows = []
        for network in self._networks:
            cost = costs.get(network)
            words: list[Cell] = [None] * 4
            if cost:
                millions = (f'{count / 1e6:.2f}' for count in (cost.parameters, cost.learning))
                latency = None if cost.latency_ms is None else f'{cost.latency_ms:.1f}'
                words = [*millions, f'{cost.gflop:.2f}', latency]
            figures = [_whole, _mean_over_subsets, _of_subset(_CAMERA)]
            rows.append((network, *words, *(self._spread(network, each) for each in figures)))
        machines = ', '.join(dict.fromkeys(cost.machine for cost in costs.values()))
        return self._table(
            'Overview',
            'Parameters and those that learn in the stage experts, in millions; GFLOP and '
            f'milliseconds of one frame with all sensors, in ONNX Runtime ({machines}); mIoU with '
            'all sensors that a network takes, the mean over all subsets of them, and with the '
            f'camera alone. {self._of_seeds()}',
            ('network', 'all M', 'learn M', 'GFLOP', 'ms', 'mIoU', 'subsets', 'camera alone'),
            rows,
        )

    def _conditions(self) -> Table:
        runs = [run for run in self._findings.runs if run.group == ALL]
        names = _merged(['all'], *(sorted(run.full.conditions) for run in runs))
        names = _merged(names, *(sorted(run.full.failures) for run in runs))
        rows = [
            (network, *(self._mean(network, _of_group(name)) for name in names))
            for network in self._networks
        ]
        means = [_group(runs[0].full, name) if runs else None for name in names]
        rows.append(('samples', *(mean and mean.samples for mean in means)))
        return self._table(
            'Conditions and failures',
            f'mIoU with all sensors. {self._of_seeds()} Samples in which something failed count '
            'only as that failure.',
            ('network', *names),
            rows,
        )

    def _subsets(self) -> Table:
        runs = [run for run in self._findings.runs if run.group == ALL]
        names = _merged(*(run.subsets for run in runs))
        rows = [
            (network, *(self._mean(network, _of_subset(name)) for name in names))
            for network in self._networks
        ]
        return self._table(
            'Missing sensors',
            f'mIoU by what is there; the rest is dropped. {self._of_seeds()}',
            ('network', *names),
            rows,
        )

    def _noise(self) -> Table:
        runs = [run for run in self._findings.runs if run.group == ALL]
        names = _merged(*(run.scores.modalities for run in runs))
        rows = [
            (
                network,
                kind,
                self._mean(network, _whole),
                *(self._mean(network, _of_noise(kind, name)) for name in names),
            )
            for network in self._networks
            for kind in NOISES
        ]
        return self._table(
            'Noise',
            'mIoU with all sensors, one of them noisy: Gaussian of sigma 50, or uniform from -100 '
            f'to 100, on a scale of 0 to 255. {self._of_seeds()}',
            ('network', 'noise', 'none', *names),
            rows,
            texts=2,
        )

    def _classes(self) -> Table:
        rows = [
            (name, *(self._mean(network, _of_class(name)) for network in self._networks))
            for name in self._findings.classes
        ]
        return self._table(
            'Classes',
            f'IoU with all sensors. {self._of_seeds()}',
            ('class', *self._networks),
            rows,
        )

    def _speed(self) -> Table:
        rows = []
        for run in self._findings.runs:
            point = run.speed
            if run.group == ALL and point is not None:
                last, batch = run.curve[-1], run.scores.recipe['experts']['batch']
                epochs = point.step * batch / self._findings.train_samples
                rows.append(
                    (
                        f'{run.network}, seed {run.seed}',
                        last.miou,
                        f'{point.step} of {last.step}',
                        point.step / last.step,
                        f'{epochs:.2f}',
                    )
                )
        every = self._findings.runs[0].scores.recipe['experts']['validate_samples']
        return self._table(
            'Learning speed',
            f'On {every} validation samples looked at in training: mIoU at the end; the first '
            'step looked at with 90 % of it; which part of all steps that is; and how often every '
            'training sample had been seen. Steps of the trunk are not counted.',
            ('run', 'mIoU', 'steps to 90 %', 'of all', 'epochs'),
            rows,
        )

    def _efficiency(self) -> Table:
        counts = self._findings.study.samples
        groups = [*(f'samples_{count}' for count in counts), ALL]
        rows = []
        for network in self._networks:
            figures = [self._first(group, network, _whole) for group in groups]
            rows.append((network, *figures, *(_ratio(each, figures[-1]) for each in figures[:-1])))
        whole = self._findings.train_samples
        return self._table(
            'Data efficiency',
            'mIoU with all sensors by the number of training samples that the stage experts had, '
            f'in as many steps; then which part of that with all {whole}. Seed {self._seed}. '
            'Trunks had them all, but only what the camera saw.',
            ('network', *map(str, counts), str(whole), *(f'{count} / all' for count in counts)),
            rows,
        )

    def _domains(self) -> Table:
        home = self._findings.study.condition
        runs = [run for run in self._findings.runs if run.group in (ALL, home)]
        conditions = sorted(_merged(*(run.full.conditions for run in runs)))
        others = [name for name in conditions if name != home]
        rows = []
        for network in self._networks:
            trained = {
                name: self._first(home, network, _of_group(name)) for name in (home, *others)
            }
            kept = [_ratio(trained[name], trained[home]) for name in others]
            rows.append((f'{network}, {home} alone', *trained.values(), *kept))
            whole = {name: self._first(ALL, network, _of_group(name)) for name in trained}
            kept = [_ratio(whole[name], whole[home]) for name in others]
            rows.append((f'{network}, all', *whole.values(), *kept))
        return self._table(
            'Retention across domains',
            f'mIoU with all sensors of networks that saw {home} alone, their trunks too, and of '
            f'those that saw all conditions; then which part of that of {home} it is. '
            f'Seed {self._seed}.',
            ('network, trained on', home, *others, *(f'{name} / {home}' for name in others)),
            rows,
        )

    def _settings(self) -> Table:
        """Whether a network would have done better with another rate or loss."""
        rates = [f'rate_{rate:g}' for rate in self._findings.study.rates]
        rows = []
        for network in _merged(run.network for run in self._findings.runs):
            runs = [run for run in self._findings.runs if run.network == network]
            own = runs[0].scores.recipe['experts']
            groups = [VARIANT] if runs[0].group == VARIANT else [ALL, *rates]
            figures = [self._first(group, network, _whole) for group in groups]
            padding = [None] * (1 + len(rates) - len(figures))
            loss = ' '.join(f'{weight:g} {name}' for name, weight in own['loss'].items())
            rows.append((network, loss, f'{own["learning_rate"]:g}', *figures, *padding))
        return self._table(
            'Learning rates and losses',
            'mIoU with all sensors, with the learning rate of the recipe and with others. '
            f'Seed {self._seed}.',
            ('network', 'loss', 'rate', 'mIoU', *(name.replace('_', ' ') for name in rates)),
            rows,
            texts=2,
        )

    def _table(
        self, title: str, note: str, header: tuple[str, ...], rows: Sequence[Row], texts: int = 1
    ) -> Table:
        findings = self._findings
        height, width = findings.input_hw
        where = (
            f'Data: {findings.data}, {findings.samples} samples; input {height} x {width}; in '
            'percent; a class in neither truth nor prediction does not count.'
        )
        return Table(title, f'{note} {where}', header, tuple(rows), texts)

    def _of_seeds(self) -> str:
        seeds = ', '.join(map(str, self._findings.study.seeds))
        return f'Mean over seeds {seeds}, where there is a range from the lowest to the highest.'

    def _figures(self, network: str, figure: Figure) -> list[float]:
        figures = (figure(run) for run in self._findings.of(ALL, network))
        return [each for each in figures if each is not None]

    def _mean(self, network: str, figure: Figure) -> float | None:
        figures = self._figures(network, figure)
        return sum(figures) / len(figures) if figures else None

    def _spread(self, network: str, figure: Figure) -> Cell:
        figures = self._figures(network, figure)
        if len(figures) < 2:
            return figures[0] if figures else None
        mean, low, high = sum(figures) / len(figures), min(figures), max(figures)
        return f'{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})'

    def _first(self, group: str, network: str, figure: Figure) -> float | None:
        """Of the seed that all groups have."""
        runs = (run for run in self._findings.of(group, network) if run.seed == self._seed)
        return next((figure(run) for run in runs), None)


def _whole(run: Finding) -> float | None:
    return run.full.whole.over_present


def _mean_over_subsets(run: Finding) -> float | None:
    figures = [score.whole.over_present for score in run.subsets.values()]
    return None if None in figures else sum(figures) / len(figures)


def _of_subset(name: str) -> Figure:
    return lambda run: _over_present(run.subsets[name].whole) if name in run.subsets else None


def _of_noise(kind: str, name: str) -> Figure:
    def figure(run: Finding) -> float | None:
        scores = run.scores.noise[kind]
        return _over_present(scores[name].whole) if name in scores else None

    return figure


def _of_group(name: str) -> Figure:
    return lambda run: _over_present(_group(run.full, name))


def _of_class(name: str) -> Figure:
    return lambda run: run.full.iou[name]


def _group(score: Score, name: str) -> Mean | None:
    return {'all': score.whole, **score.conditions, **score.failures}.get(name)


def _over_present(mean: Mean | None) -> float | None:
    return None if mean is None else mean.over_present


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _merged(*lists: Iterable[str]) -> list[str]:
    """Each name once, in the order of its first appearance."""
    return list(dict.fromkeys(name for names in lists for name in names))
