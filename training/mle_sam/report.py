"""The tables of an evaluation, in the shapes of the paper's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from mle_sam.protocol import PROTOCOLS
from mle_sam.published import MLE_SAM, PUBLISHED, Published, SOURCE
from mle_sam.scores import CheckpointScores, Evaluation, Mean, Score
from mle_sam.tables import Cell, Table

Row = tuple[Cell, ...]
Figures = list[float | None]

_SHORT = {
    'motion_blur': 'MB',
    'over_exposure': 'OE',
    'under_exposure': 'UE',
    'lidar_jitter': 'LJ',
    'event_low_resolution': 'EL',
}
_OWN_SET = 'With the modalities that each network was trained with.'
_SUBSTITUTES = {
    'zero': 'zero: a missing modality is a zero tensor that is encoded, averaged and routed',
    'drop': 'drop: a missing modality is masked out of average and router',
}
_NOISE = (
    'With all modalities, one of them noisy: Gaussian of sigma 50, or uniform from -100 to 100, '
    'on a scale of 0 to 255, clipped to it. For a raster that is no 8-bit image 0 and 255 are the '
    "smallest and largest value of the sample's channel."
)


class Report:
    """Turns an evaluation into tables.

    Every mean of ours is given by each rule of the protocol. The paper's rows and columns say so,
    and stand only beside what was measured by its protocol.
    """

    def __init__(self, evaluation: Evaluation):
        self._evaluation = evaluation
        self._checkpoints = evaluation.checkpoints
        self._paper = evaluation.published
        protocol = PROTOCOLS[evaluation.protocol]
        counted = 'only as that failure' if protocol.failures_apart else 'for their weather too'
        self._failed = f'Samples in which something failed count {counted}.'
        self._rules = {'present': 'over_present'}
        if protocol.counts_absent:
            self._rules = {f'all {len(evaluation.classes)}': 'over_all', **self._rules}

    def text(self) -> str:
        """For a terminal."""
        return '\n\n\n'.join(table.text() for table in self.tables())

    def markdown(self) -> str:
        """A document."""
        return '\n\n'.join(['# Evaluation', *(t.markdown() for t in self.tables())]) + '\n'

    def tables(self) -> list[Table]:
        """All of them, in the paper's order."""
        fusing = [each for each in self._checkpoints if len(each.missing['drop']) > 1]
        ablated = [each for each in self._checkpoints if 'combination' in each.recipe['network']]
        noisy = [each for each in self._checkpoints if any(each.noise.values())]
        return [
            self._combinations(),
            self._conditions(),
            self._classes(),
            *([self._ablations(ablated)] if ablated else []),
            *([self._missing_means(fusing)] if fusing else []),
            *(self._missing(each) for each in fusing),
            *([self._noise(noisy)] if noisy else []),
            *(self._subsets_by_condition(each) for each in fusing),
        ]

    def _combinations(self) -> Table:
        paper = self._paper
        published = paper.combinations if paper else {}
        columns = _merged(*published.values(), (each.full_set for each in self._checkpoints))
        rows = []
        for each in self._checkpoints:
            means = {each.full_set: each.full.whole}
            rows += self._rows([each.name], [means.get(column) for column in columns])
        for method, cells in published.items():
            rows.append(_paper_row(paper, [method], _shares(cells, columns)))
        title, header = 'Modality combinations (Tables I to III)', ('network', 'classes', *columns)
        return self._table(title, f'mIoU. {_OWN_SET}', header, rows, paper)

    def _conditions(self) -> Table:
        paper = self._published('conditions', elsewhere=False)
        published = paper.conditions if paper else {}
        columns = _merged(['all'], *published.values(), self._groups())
        rows = []
        for each in self._checkpoints:
            rows += self._rows([each.name], _by_group(each.full, columns))
        for trained, cells in published.items():
            rows.append(_paper_row(paper, [f'{MLE_SAM}, {trained}'], _shares(cells, columns)))
        rows.append(('samples', '', *(self._samples(column) for column in columns)))
        title, header = 'Conditions and failures (Table IV)', ('network', 'classes', *columns)
        return self._table(title, f'mIoU. {_OWN_SET} {self._failed}', header, rows, paper)

    def _classes(self) -> Table:
        header = ('class', *(each.name for each in self._checkpoints))
        rows = [
            (name, *(each.full.iou[name] for each in self._checkpoints))
            for name in self._evaluation.classes
        ]
        return self._table('Classes', f'IoU. {_OWN_SET}', header, rows, texts=1)

    def _ablations(self, ablated: Sequence[CheckpointScores]) -> Table:
        rows = []
        for each in ablated:
            network = each.recipe['network']
            words = [each.name, network['combination'], _yes(network['auxiliary_head'])]
            rows += self._rows(words, [each.full.whole], f'{each.trainable / 1e6:.2f}')
        paper = self._published('ablations')
        for row in paper.ablations if paper else ():
            words = [MLE_SAM, row.features, _yes(row.auxiliary_head)]
            rows.append(_paper_row(paper, words, [row.miou / 100], f'{row.trainable:.2f}'))
        return self._table(
            'Ablations (Table V)',
            'mIoU, by what of the fused features is decoded (mean and sum: both the average and '
            'the weighted ones), and trainable parameters in millions, by the count of each.',
            ('network', 'features', 'auxiliary head', 'classes', 'mIoU', 'trainable M'),
            rows,
            paper,
            texts=4,
        )

    def _missing_means(self, fusing: Sequence[CheckpointScores]) -> Table:
        substitutes = list(fusing[0].missing)
        rows = []
        for each in fusing:
            for label, figures in self._by_rule(partial(_missing_figures, each)).items():
                rows.append((each.name, each.full_set, label, *figures))
        paper = self._published('missing_means')
        for trained, methods in paper.missing_means.items() if paper else ():
            for method, percent in methods.items():
                full = _share(paper.combinations[method].get(trained))
                means = [percent / 100, *[None] * (len(substitutes) - 1)]
                figures = [full, *_with_part(full, means)]
                rows.append(_paper_row(paper, [method, trained], figures))
        columns = (name for key in substitutes for name in (key, f'{key} / full'))
        return self._table(
            'Missing modalities: mean over all subsets (Tables VI and VII)',
            f'mIoU with the full set; the mean of the mIoU over all subsets, the full set among '
            f'them; and which part of the former that is. {_legend(substitutes)}',
            ('network', 'trained with', 'classes', 'full', *columns),
            rows,
            paper,
            texts=3,
        )

    def _missing(self, each: CheckpointScores) -> Table:
        paper = self._published('missing', elsewhere=False)
        cells = paper.missing.get(each.full_set, {}) if paper else {}
        subsets = list(each.missing['drop'])
        columns = {'there': subsets}
        scores = [scores[key].whole for scores in each.missing.values() for key in subsets]
        for label, figures in self._by_rule(partial(_figures, scores)).items():
            for index, substitute in enumerate(each.missing):
                part = figures[index * len(subsets) : (index + 1) * len(subsets)]
                columns[f'{substitute}, {label}'] = part
        if cells:
            columns[f'paper: zero, all {paper.num_classes}'] = _shares(cells, subsets)
        return self._table(
            f'{each.name}: missing modalities (Tables VI and VII)',
            f'mIoU by what is there. {_legend(each.missing)}',
            tuple(columns),
            list(zip(*columns.values(), strict=True)),
            paper if cells else None,
            texts=1,
        )

    def _noise(self, noisy: Sequence[CheckpointScores]) -> Table:
        columns = _merged(*(each.modalities for each in noisy))
        rows = []
        for each in noisy:
            for kind, by_modality in each.noise.items():
                noisy = [by_modality[c].whole if c in by_modality else None for c in columns]
                rows += self._rows([each.name, kind], [each.full.whole, *noisy])
        paper = self._published('noise', elsewhere=False)
        for kind, cells in paper.noise.items() if paper else ():
            clean = next(reversed(paper.combinations[MLE_SAM].values()))
            figures = [clean / 100, *_shares(cells, columns)]
            rows.append(_paper_row(paper, [MLE_SAM, kind], figures))
        header = ('network', 'noise', 'classes', 'none', *columns)
        return self._table('Noise (Table VIII)', f'mIoU. {_NOISE}', header, rows, paper, texts=3)

    def _subsets_by_condition(self, each: CheckpointScores) -> Table:
        columns = _merged(['all'], self._groups())
        rows = []
        for key, score in each.missing['drop'].items():
            rows += self._rows([key], _by_group(score, columns))
        rows.append(('samples', '', *(self._samples(column) for column in columns)))
        note = f'mIoU by what is there. {_legend(["drop"])} {self._failed}'
        header = ('there', 'classes', *columns)
        return self._table(f'{each.name}: conditions and failures', note, header, rows)

    def _rows(self, words: list[str], means: Sequence[Mean | None], *rest: Cell) -> list[Row]:
        """One by each rule."""
        by_rule = self._by_rule(partial(_figures, means))
        return [(*words, label, *figures, *rest) for label, figures in by_rule.items()]

    def _by_rule(self, figures_of: Callable[[str], Figures]) -> dict[str, Figures]:
        """Figures by the label of the rule; once, where all rules give the same."""
        by_label = {label: figures_of(rule) for label, rule in self._rules.items()}
        first, *others = by_label.values()
        if all(other == first for other in others):
            return {' = '.join(by_label): first}
        return by_label

    def _groups(self) -> list[str]:
        """Names of conditions, then of failures."""
        scores = [each.full for each in self._checkpoints]
        conditions = (sorted(score.conditions) for score in scores)
        return _merged(*conditions, *(sorted(score.failures) for score in scores))

    def _samples(self, group: str) -> int | None:
        mean = _by_group(self._checkpoints[0].full, [group])[0]
        return mean.samples if mean else None

    def _published(self, field: str, elsewhere: bool = True) -> Published | None:
        """Where the paper has such figures: on this data set, else `elsewhere`, on DELIVER."""
        if self._evaluation.protocol != 'paper':
            return None
        candidates = [self._paper, PUBLISHED['deliver'] if elsewhere else None]
        return next((each for each in candidates if each and getattr(each, field)), None)

    def _table(
        self,
        title: str,
        note: str,
        header: tuple[str, ...],
        rows: Sequence[Row],
        paper: Published | None = None,
        texts: int = 2,
    ) -> Table:
        caption = [note, self._circumstances()]
        if paper:
            other = '' if paper == self._paper else ', which are other data'
            cautions = '; '.join(paper.cautions)
            caption.append(
                f'Marked paper: {SOURCE}, {paper.name} {paper.split}{other}; {cautions}.'
            )
        legend = [f'{_SHORT[name]} {name}' for name in header if name in _SHORT]
        if legend:
            caption.append(f'{", ".join(legend)}.')
        short = tuple(_SHORT.get(name, name) for name in header)
        return Table(title, ' '.join(caption), short, tuple(rows), texts)

    def _circumstances(self) -> str:
        """What every table must say of its figures."""
        evaluation = self._evaluation
        protocol = PROTOCOLS[evaluation.protocol]
        height, width = evaluation.input_hw
        size = "at the data set's own size" if protocol.full_size else "at the network's size"
        counts = "not at all ('present')"
        if protocol.counts_absent:
            counts = f"0 in 'all {len(evaluation.classes)}' and not at all in 'present'"
        every = f', 1 in {evaluation.every} of the split' if evaluation.every > 1 else ''
        return (
            f'Data: {evaluation.data_name}, split {evaluation.split}, {evaluation.samples} '
            f'samples{every}; input {height} x {width}; protocol {evaluation.protocol}, labels '
            f'{size}; a class in neither truth nor prediction counts {counts}.'
        )


def _paper_row(
    paper: Published, words: list[str], figures: Sequence[float | None], *rest: Cell
) -> Row:
    first, *others = words
    return (f'paper: {first}', *others, f'all {paper.num_classes}', *figures, *rest)


def _by_group(score: Score, columns: Iterable[str]) -> list[Mean | None]:
    means = {'all': score.whole, **score.conditions, **score.failures}
    return [means.get(column) for column in columns]


def _figures(means: Iterable[Mean | None], rule: str) -> Figures:
    return [mean and getattr(mean, rule) for mean in means]


def _missing_figures(each: CheckpointScores, rule: str) -> Figures:
    """With the full set; then by substitute the mean over all subsets, and which part that is."""
    full = getattr(each.full.whole, rule)
    return [full, *_with_part(full, [_subset_mean(s, rule) for s in each.missing.values()])]


def _subset_mean(scores: Mapping[str, Score], rule: str) -> float | None:
    """Over all subsets; None if one of them has none."""
    means = [getattr(score.whole, rule) for score in scores.values()]
    return None if None in means else sum(means) / len(means)


def _with_part(full: float | None, means: Iterable[float | None]) -> list[float | None]:
    """Each mean, and which part of the full set's it is."""
    return [figure for mean in means for figure in (mean, mean / full if mean and full else None)]


def _shares(percents: Mapping[str, float], columns: Iterable[str]) -> list[float | None]:
    return [_share(percents.get(column)) for column in columns]


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _merged(*lists: Iterable[str]) -> list[str]:
    """Each name once, in the order of its first appearance."""
    return list(dict.fromkeys(name for names in lists for name in names))


def _legend(substitutes: Iterable[str]) -> str:
    return f'{"; ".join(_SUBSTITUTES[name] for name in substitutes)}.'


def _yes(is_there: bool) -> str:
    return 'yes' if is_there else 'no'
