"""Who gets in: the implementations of the `AdmissionStore` port."""

from completions_mw.backends.admission.factory import CheckedAdmissionStore, admission_store
from completions_mw.backends.admission.memory import MemoryAdmission

__all__ = ["CheckedAdmissionStore", "MemoryAdmission", "admission_store"]
