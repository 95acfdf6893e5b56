"""What the eye and the keyboard find at 200 %: nothing cut off, text that stands out in a dark and a light theme, the tabulator row by
row, what the buttons at the foot copy and open, and a job that is asked for by a click.
"""

from collections import Counter

from gesso_krita.krita.qt import QAction, QtCore, QtGui, QtWidgets
from gesso_krita.krita.tabs import stops
from hands import alone, begin, landed

NARROW = 340
"""Pixels of a docker that leaves room to paint."""
THEMES = ("Krita dark", "Krita bright")
LISTS = (QtWidgets.QAbstractItemView, QtWidgets.QPlainTextEdit, QtWidgets.QSlider)
"""What scrolls, or has no text of its own."""


def steps(lab):
    panel = yield from begin(lab)
    yield from filled(lab, panel)
    yield from fitting(lab, panel)
    yield from themes(lab, panel)
    yield from keyboard(lab, panel)
    yield from foot(lab, panel)
    yield from enlarging(lab, panel)


def filled(lab, panel):
    """All of the form open, with a region and a control layer, and an error at the foot."""
    lab.open(64, 64)
    dock = panel.docker
    yield (lambda: panel.controller.document is not None), 20
    yield 0.5
    alone(lab, panel)
    for button in dock.findChildren(QtWidgets.QToolButton):
        if button.objectName().startswith("gesso_fold_") and button.isVisible():
            button.setChecked(True)
    dock.regions.add.click()
    dock.controls.add_row()
    panel.set(prompt="a hidden meadow", model="no-such-model")
    dock.submit()
    yield dock.foot.buttons["copy_error"].isVisible, 60


def leaves(panel):
    """What can be seen: words, and what takes the keyboard."""
    root = panel.docker.widget()
    found = [*stops(root), *root.findChildren(QtWidgets.QLabel)]
    return [widget for widget in found if widget.isVisible()]


def name(widget):
    """A widget in words."""
    text = widget.text() if hasattr(widget, "text") else widget.accessibleName()
    return widget.objectName() or f"{type(widget).__name__} {text[:40]!r}"


def needs(widget):
    """The width and height that its text takes."""
    if isinstance(widget, QtWidgets.QLabel) and widget.wordWrap():
        words = max((widget.fontMetrics().horizontalAdvance(word) for word in widget.text().split()), default=0)
        return words, widget.heightForWidth(widget.width())
    if isinstance(widget, QtWidgets.QComboBox):
        option, style = QtWidgets.QStyleOptionComboBox(), QtWidgets.QStyle
        option.initFrom(widget)
        room = widget.style().subControlRect(style.ComplexControl.CC_ComboBox, option, style.SubControl.SC_ComboBoxEditField, widget)
        words = widget.fontMetrics().horizontalAdvance(widget.currentText())
        return widget.width() - room.width() + words, widget.minimumSizeHint().height()
    if isinstance(widget, QtWidgets.QLineEdit):
        return widget.fontMetrics().horizontalAdvance(widget.text() or widget.placeholderText()) + 8, widget.fontMetrics().height()
    hint = widget.minimumSizeHint()
    return (0, 0) if isinstance(widget, LISTS) else (hint.width(), hint.height())


def place(widget, root):
    return QtCore.QRect(widget.mapTo(root, QtCore.QPoint(0, 0)), widget.size())


def cut(panel):
    """What is cut off, sticks out, or lies over something else."""
    root, found = panel.docker.widget(), []
    area = panel.docker.area
    seen = leaves(panel)
    for widget in seen:
        width, height = needs(widget)
        if widget.width() < width or widget.height() < height:
            found.append(f"{name(widget)}: {widget.width()} x {widget.height()}, its text takes {width} x {height}")
        frame = area.widget() if area.isAncestorOf(widget) else root
        room = QtCore.QRect(0, 0, area.viewport().width(), frame.height()) if frame is not root else frame.rect()
        if not room.contains(place(widget, frame)):
            found.append(f"{name(widget)} sticks out: {place(widget, frame).getRect()} of {room.getRect()}")
    for number, one in enumerate(seen):
        for other in seen[:number]:
            if area.isAncestorOf(one) == area.isAncestorOf(other) and place(one, root).intersects(place(other, root)):
                found.append(f"{name(one)} lies over {name(other)}")
    return found


def fitting(lab, panel):
    """At the usual width, and as narrow as it gets."""
    found = {}
    for width in (460, NARROW):
        before = panel.docker.width()
        lab.window.qwindow().resizeDocks([panel.docker], [width], QtCore.Qt.Orientation.Horizontal)
        yield (lambda before=before, width=width: width == 460 or panel.docker.width() < before), 20
        yield 0.5
        found[str(width)] = cut(panel)
        lab.photograph(f"scaled-{width}.png")
    lab.note(scale=panel.docker.devicePixelRatioF(), cut=found)


def brightness(colour):
    """Relative luminance, after WCAG 2.1."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(widget):
    """Of what is drawn: the ratio between the ground and what stands out most from it."""
    image = widget.grab(widget.rect().adjusted(4, 4, -4, -4)).toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
    bits = image.constBits()
    bits.setsize(image.bytesPerLine() * image.height())
    counted = Counter(memoryview(bits).cast("B").cast("I"))
    ground = brightness(QtGui.QColor(counted.most_common(1)[0][0]))
    return max((max(ground, other) + 0.05) / (min(ground, other) + 0.05) for other in (brightness(QtGui.QColor(c)) for c in counted))


def themes(lab, panel):
    """Each chosen in Krita's own menu; whatever can be used is looked at."""
    found = {}
    actions = {action.text().replace("&", ""): action for action in lab.window.qwindow().findChildren(QAction)}
    for theme in THEMES:
        dark = theme == THEMES[0]
        actions[theme].trigger()
        yield (lambda dark=dark: (panel.docker.palette().window().color().lightness() < 128) is dark), 20
        panel.docker.area.ensureWidgetVisible(panel.docker.controls.rows[0].remove)
        yield 0.5
        lab.photograph(f"{theme.split()[1]}.png")
        seen = [widget for widget in leaves(panel) if widget.isEnabled() and has_words(widget)]
        found[theme] = {name(widget): round(contrast(widget), 2) for widget in seen}
    lab.note(contrast=found)


def has_words(widget):
    """Whether it has something to read of its own."""
    if isinstance(widget, QtWidgets.QLabel):
        return bool(widget.text())
    return widget.count() > 0 if isinstance(widget, QtWidgets.QComboBox) else not isinstance(widget, LISTS)


def keyboard(lab, panel):
    """With the tabulator from the first control to the last: each once, row by row."""
    root = panel.docker.widget()
    area = panel.docker.area
    able = [widget for widget in root.findChildren(QtWidgets.QWidget) if takes_keyboard(widget, area)]

    def row(widget):
        upper = area.isAncestorOf(widget)
        spot = place(widget, area.widget() if upper else root)
        return not upper, round(spot.center().y() / 12), spot.x()

    able.sort(key=row)
    walked = []
    QtWidgets.QApplication.instance().focusChanged.connect(lambda _, now: now is not None and walked.append(name(now)))
    able[0].setFocus(QtCore.Qt.FocusReason.TabFocusReason)
    yield (lambda: walked), 20
    lab.press(*["Tab"] * (len(able) - 1))  # one more would reach the canvas, where it hides the dockers
    yield (lambda: len(walked) >= len(able)), 120
    lab.note(walked=walked[:], able=[name(widget) for widget in able])


def takes_keyboard(widget, area):
    """Whether the tabulator may stop there: it is seen, can be used, and is no part of something that can."""
    policy = QtCore.Qt.FocusPolicy
    if widget is area or (area.isAncestorOf(widget) and not area.widget().isAncestorOf(widget)):
        return False  # the scroll bars
    able = widget.isVisible() and widget.isEnabled() and widget.focusProxy() is None
    return able and widget.focusPolicy() not in (policy.NoFocus, policy.ClickFocus)


class Desktop(QtCore.QObject):
    """Stands for a desktop that opens files."""

    def __init__(self):
        super().__init__()
        self.opened = []

    @QtCore.pyqtSlot(QtCore.QUrl)
    def open(self, url):
        self.opened.append(url.toLocalFile())


def foot(lab, panel):
    """What is copied, and what is opened."""
    desktop = Desktop()
    QtGui.QDesktopServices.setUrlHandler("file", desktop.open)
    clipboard = QtWidgets.QApplication.clipboard()
    lab.click(panel.button("copy_report"))
    yield (lambda: clipboard.text().startswith("Gesso bridge")), 60
    lab.click(panel.button("open_log"))
    yield (lambda: desktop.opened), 60
    lab.note(report=clipboard.text(), opened=desktop.opened, krita=lab.krita.version())


def enlarging(lab, panel):
    """A picture of one colour becomes a larger document."""
    document = panel.controller.document
    document.topLevelNodes()[0].setPixelData(b"\x20\x40\x80\xff" * 64 * 64, 0, 0, 64, 64)
    document.refreshProjection()
    document.waitForDone()
    panel.choose("upscale")
    yield 0.5
    panel.set(upscaler="lanczos", scale=2)
    before = len(panel.tasks)
    lab.click(panel.button("generate"))
    yield (lambda: len(panel.tasks) > before), 30
    task = panel.tasks[-1]
    yield landed(task)
    yield 0.5
    made = lab.krita.documents()[-1]
    width, height = made.width(), made.height()
    colours = sorted({bytes(made.pixelData(x, y, 1, 1)).hex() for x in range(4, width, 16) for y in range(4, height, 16)})
    lab.note(enlarged=[task.state, task.job, width, height], colours=colours)
