from mle_sam.tables import Table

TABLE = Table(
    'Some scores',
    'mIoU of *some_network*.',
    ('network', 'all', 'samples'),
    (('nano', 0.6149, 12), ('base|plus', None, 3)),
)


def test_text_is_aligned():
    assert TABLE.text().splitlines() == [
        'Some scores',
        'mIoU of *some_network*.',
        '',
        'network     all  samples',
        '---------  ----  -------',
        'nano       61.5       12',
        'base|plus     -        3',
    ]


def test_markdown_is_a_table_whatever_the_names_hold():
    assert TABLE.markdown().splitlines() == [
        '## Some scores',
        '',
        r'mIoU of \*some\_network\*.',
        '',
        '| network | all | samples |',
        '| :-- | --: | --: |',
        '| nano | 61.5 | 12 |',
        r'| base\|plus | - | 3 |',
    ]


def test_captions_are_wrapped_for_terminals():
    long = Table('t', 'word ' * 60, ('a', 'b'), ())
    assert max(map(len, long.text().splitlines())) <= 99
