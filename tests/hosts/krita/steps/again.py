"""The next start of Krita: what was asked for before is listed, comes back with its pictures, and goes where it belongs."""

import threading

from gesso_krita.krita import placing
from hands import hatched, prepare


def steps(lab):
    panel = prepare(lab)
    yield from thumbnails(lab, panel)
    document, base, rows = hatched(lab, 128, 96)
    yield 0.5
    jobs = panel.docker.jobs
    texts = [jobs.list.item(place).text() for place in range(jobs.list.count())]
    place = next(number for number, text in enumerate(texts) if text.startswith("left behind"))
    jobs.list.itemActivated.emit(jobs.list.item(place))
    yield (lambda: panel.tasks and panel.tasks[0].state == "done" and panel.tasks[0].params), 90
    task = panel.tasks[0]
    untouched = [node.name() for node in document.topLevelNodes()]
    panel.docker.jobs.list.setCurrentRow(0)
    lab.click(panel.button("apply"))
    yield (lambda: task.memo.get("applied")), 30
    yield 0.3
    group = document.topLevelNodes()[-1]
    box = group.childNodes()[0].bounds()
    lab.note(
        listed=texts,
        before=untouched,
        group=group.name(),
        bounds=[box.x(), box.y(), box.width(), box.height()],
        below=bytes(base.pixelData(0, 0, 128, 96)) == rows,
        prompt=task.params.get("prompt"),
        steps_shown=panel.docker.steps_box.isVisible(),
    )
    lab.photograph("again.png")
    panel.docker.jobs.discard()
    yield 1.0
    lab.note(after_discard=[jobs.list.item(place).text() for place in range(jobs.list.count())])


def thumbnails(lab, panel):
    """Earlier results show what they are before anybody opens one: those in sight alone, read on another thread than Krita's."""
    small, read = placing.small, []

    def watched(result):
        read.append([result.job, threading.current_thread().name])
        return small(result)

    placing.small = watched
    yield (lambda: panel.docker.panel is not None and panel.controller.earlier), 90
    rows, found = panel.docker.jobs.list, panel.controller.thumbnails
    jobs = [job["job"] for job in panel.controller.earlier]
    yield (lambda: found._found), 60
    yield 1.0
    at_first = [job for job in jobs if job in found._found]
    lab.photograph("earlier.png")
    for place in range(rows.count()):
        rows.scrollToItem(rows.item(place))
        yield 0.1
    yield (lambda: len(found._found) == len(jobs)), 60
    rows.scrollToTop()
    once = len(read)
    panel.controller.list_earlier()  # the list anew: nothing is read again
    yield 1.0
    for place, job in enumerate(jobs):
        rows.item(place).icon().pixmap(96, 96).save(f"{lab.folder}/{job}.png")
    placing.small = small
    lab.note(jobs=jobs, at_first=at_first, threads=sorted({thread for _, thread in read}), again=len(read) - once)
