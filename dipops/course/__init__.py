"""A course on inverse problems: exercises that say what is wrong with an answer, and not what the answer is."""

from dipops.course.grading import Grade, grade
from dipops.course.hints import Hint, hint
from dipops.course.judging import graded
from dipops.course.notebooks import Cell, grades_of
from dipops.course.operators import Blur
from dipops.course.sliders import slide

__all__ = ["Blur", "Cell", "Grade", "Hint", "grade", "graded", "grades_of", "hint", "slide"]
