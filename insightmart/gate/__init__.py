"""The quality gate: what stands between the candidates of a window and their publication."""

from insightmart.gate.candidates import Hourly as Hourly
from insightmart.gate.candidates import Published as Published
from insightmart.gate.scan import scan_window as scan_window
