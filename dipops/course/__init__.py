"""A course on inverse problems: exercises that say what is wrong with an answer, and not what the answer is."""

from dipops.course.grading import Grade, grade
from dipops.course.judging import graded
from dipops.course.notebooks import Cell, grades_of

__all__ = ["Cell", "Grade", "grade", "graded", "grades_of"]
