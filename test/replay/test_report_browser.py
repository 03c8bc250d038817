"""The report in a real browser: it shows everything, complains of nothing, and can be used."""

import json

from browser import Browser, EXECUTABLE
import cv2
import numpy as np
import pytest
from sample_frames import MANIFEST
from sample_report import troubled_frames, write_sample_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason='no Chromium here: apt-get install chromium'),
]


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'report.html'
    write_sample_report(path, troubled_frames(200))
    return path


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp('profile')) as browser:
        yield browser


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [1280, 375])
def test_everything_is_there(page, browser, width, scheme, tmp_path):
    browser.open(page, width, 900, scheme)
    broken = """Promise.all([...document.images].map(
        i => i.decode().then(() => i.naturalWidth ? '' : i.alt, () => i.alt)
    )).then(names => names.filter(Boolean))"""
    assert browser.run(broken) == []
    sizes = browser.run("""[...document.querySelectorAll('img, svg, .nothing, .meter, table')]
        .filter(e => e.checkVisibility() && !e.closest('details:not([open])'))
        .map(e => [e.tagName, e.getBoundingClientRect().width, e.getBoundingClientRect().height])
    """)
    assert {tag.upper() for tag, _, _ in sizes} >= {'IMG', 'SVG', 'TABLE'}
    assert all(wide > 8 and high > 8 for _, wide, high in sizes)
    # Nothing runs over the right edge, and no word of it is written on a ground of its own colour.
    assert browser.run('document.documentElement.scrollWidth') == width
    assert contrasts(browser) >= (4.5, '')
    browser.screenshot(tmp_path / 'page.png')
    brightness = cv2.imread(str(tmp_path / 'page.png')).mean()
    assert (brightness > 128) == (scheme == 'light')
    assert browser.complaints == []
    assert browser.requests == [page.resolve().as_uri()]


def contrasts(browser):
    """The lowest contrast of any words with what they stand on (WCAG 2.2), and the words."""
    words = browser.run("""(() => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
        const grounds = (e) => e ? [...grounds(e.parentElement), getComputedStyle(e)
            .backgroundColor] : ['white'];
        const painted = (colours) => {
            canvas.clearRect(0, 0, 1, 1);
            for (const colour of colours) {
                canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            }
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        return [...document.querySelectorAll('body *:not(script, style, svg *)')]
            .filter(e => e.checkVisibility() && !e.closest('.picture')
                && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
            .map(e => [painted([...grounds(e), getComputedStyle(e).color]), painted(grounds(e)),
                       e.innerText]);
    })()""")
    lights = [[luminance(ink), luminance(ground), text] for ink, ground, text in words]
    return min(
        ((max(one, other) + 0.05) / (min(one, other) + 0.05), text) for one, other, text in lights
    )


def luminance(colour):
    part = np.array(colour) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_theme_can_be_chosen(page, browser):
    browser.open(page, 800, 600, 'light')
    ground = 'getComputedStyle(document.body).backgroundColor'
    light = browser.run(ground)
    browser.run('document.getElementById("theme").click()')
    dark = browser.run(ground)
    browser.run('document.getElementById("theme").click()')
    assert dark != light
    assert browser.run(ground) == light
    browser.open(page, 800, 600, 'dark')
    assert browser.run(ground) == dark
    browser.run('document.getElementById("theme").click()')
    assert browser.run(ground) == light
    assert browser.complaints == []


def column(browser, table, index):
    script = (
        f"[...document.querySelectorAll('#{table} tbody tr')].map(r => r.cells[{index}].innerText)"
    )
    return browser.run(script)


def test_tables_sort_by_mouse_and_by_keyboard(page, browser):
    browser.open(page, 1280, 900)
    given = column(browser, 'class-table', 0)
    assert given == [name.replace('_', ' ') for name in MANIFEST.class_names]
    header = "document.querySelector('#class-table th:nth-child(2)')"
    browser.run(f"{header}.scrollIntoView({{block: 'center'}})")
    box = browser.run(f'(() => {{ const b = {header}.querySelector("button")'
                      '.getBoundingClientRect(); return [b.x + 5, b.y + 5] })()')  # fmt: skip
    browser.point(*box, click=True)
    rising = column(browser, 'class-table', 1)
    known = [float(text) for text in rising if text != '–']
    assert known == sorted(known)
    assert len(known) > 2
    assert set(rising[len(known) :]) <= {'–'}  # what is unknown comes last, whatever the order
    assert browser.run(f'{header}.getAttribute("aria-sort")') == 'ascending'
    browser.run(f'{header}.querySelector("button").focus()')
    browser.press('Enter')
    falling = column(browser, 'class-table', 1)
    assert falling[: len(known)] == rising[: len(known)][::-1]
    assert browser.run(f'{header}.getAttribute("aria-sort")') == 'descending'
    browser.run("document.querySelector('#class-table th button').focus()")
    browser.press(' ')
    assert column(browser, 'class-table', 0) == sorted(given)
    assert browser.run(f'{header}.getAttribute("aria-sort")') is None
    assert browser.complaints == []


def test_plots_tell_their_values_and_lead_to_frames(page, browser):
    browser.open(page, 1280, 900)
    plot = "document.querySelector('[data-plot=quality]')"
    browser.run(f"{plot}.scrollIntoView({{block: 'center'}})")
    left, top, width, height = browser.run(
        f'(() => {{ const b = {plot}.getBoundingClientRect();'
        ' return [b.x, b.y, b.width, b.height] })()'
    )
    course = json.loads(browser.run("document.getElementById('course-data').textContent"))
    mark = browser.run("parseFloat(document.querySelector('.mark').style.left)")
    browser.point(left + width * mark / 100, top + height - 12)
    told = browser.run("document.querySelector('.tip').innerText")
    assert f't = {200 * 5 // 8 * 0.05:.2f} s' in told
    assert f'mIoU {min(course["plots"]["quality"][0]["values"])} %' in told
    assert 'camera absent' in told
    browser.point(left + width * mark / 100 + 2, top + 40, click=True)
    assert browser.run('location.hash') == '#worst-1'
    shown = browser.run("document.querySelector('#worst-1').getBoundingClientRect().y")
    assert 0 <= shown < 900
    browser.run(f"{plot}.scrollIntoView({{block: 'center'}})")
    browser.run("document.querySelectorAll('.mark')[1].click()")
    assert browser.run('location.hash') == '#worst-2'
    assert browser.complaints == []


def test_what_a_phone_cuts_off_fades_out_and_can_be_reached(page, browser):
    browser.open(page, 375, 900)
    table = "document.querySelector('#class-table').closest('.scroll')"
    assert browser.run(f'{table}.scrollWidth > {table}.clientWidth')
    fade = f"getComputedStyle({table}, '::after')"
    assert browser.run(f'{fade}.position') == 'sticky'
    assert 'gradient' in browser.run(f'{fade}.backgroundImage')
    browser.run(f'{table}.scrollTo(9999, 0)')
    # At the end the fade lies beside the table, not on it.
    edges = f"""[{table}.querySelector('table').getBoundingClientRect().right,
        {table}.getBoundingClientRect().right - parseFloat({fade}.width)]"""
    right, fade_left = browser.run(edges)
    assert right <= fade_left + 1
    browser.open(page, 1280, 900)
    assert browser.run(f'{table}.scrollWidth <= {table}.clientWidth')


@pytest.mark.parametrize('width', [1280, 375])
def test_each_picture_has_its_legend_beside_it(page, browser, width):
    browser.open(page, width, 900)
    distances = browser.run("""[...document.querySelectorAll('.scene')]
        .filter(e => e.checkVisibility())
        .map(e => e.querySelector('.legend').getBoundingClientRect().top
            - e.querySelector('.large').getBoundingClientRect().bottom)""")
    assert len(distances) >= 8
    assert all(0 <= distance < 150 for distance in distances)


def test_it_can_be_read_without_scripts_and_printed(page, browser, tmp_path):
    browser.call('Emulation.setScriptExecutionDisabled', value=True)
    browser.open(page, 1280, 900)
    browser.call('Emulation.setScriptExecutionDisabled', value=False)
    assert browser.run("document.querySelectorAll('table').length") > 5
    assert browser.run("document.querySelectorAll('th button').length") == 0
    assert browser.run("getComputedStyle(document.getElementById('theme')).display") == 'none'
    printed = browser.call('Page.printToPDF')
    assert len(printed['data']) > 100_000
