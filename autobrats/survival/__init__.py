"""How long a patient lives: features of the tumour and the patient, a model tuned for them, and its prediction."""
