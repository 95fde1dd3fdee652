"""Clinical tables: ages, grades, markers, resection and survival of patients, as they come from anywhere."""
