"""Qt as this Krita has it: PyQt5 until 5.x, PyQt6 from 6.0 on. Asking for the wrong one can crash, so Krita itself is asked."""

from __future__ import annotations

import pykrita

QT6 = getattr(pykrita, "qt_major_version", lambda: 5)() == 6  # the function came with 5.3
if QT6:
    from PyQt6 import QtCore, QtGui, QtWidgets

    QAction = QtGui.QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets

    QAction = QtWidgets.QAction

Qt = QtCore.Qt
QTimer = QtCore.QTimer
Signal = QtCore.pyqtSignal

__all__ = ["QT6", "QAction", "QTimer", "Qt", "QtCore", "QtGui", "QtWidgets", "Signal"]
