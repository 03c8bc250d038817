from mle_sam.datasets.census import census


def test_a_whole_split_is_one_line():
    assert census('MUSES val', ['fog_day', 'clear_day', 'fog_day'], ['none'] * 3, 3) == (
        'MUSES val: 3 samples (clear_day 1, fog_day 2)'
    )


def test_what_is_not_as_published_is_said():
    text = census('DELIVER val', ['sun', 'sun'], ['a', 'none'], 5, ('a', 'b', 'c'))
    assert text.splitlines() == [
        'DELIVER val: 2 samples (sun 2, a 1, none 1)',
        'warning: the published split has 5; results on these 2 do not compare with the '
        'literature',
        'warning: no sample of b, c',
    ]
