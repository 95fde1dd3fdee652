"""Radiomic features of a tumour, as pyradiomics computes them, several times as fast."""

from autobrats.survival.radiomics.feature_sets import PUBLISHED_SETS, FeatureSet, feature_names
from autobrats.survival.radiomics.settings import RadiomicsSettings
from autobrats.survival.radiomics.study_features import RadiomicFeatures, radiomic_features

__all__ = [
    "PUBLISHED_SETS",
    "FeatureSet",
    "RadiomicFeatures",
    "RadiomicsSettings",
    "feature_names",
    "radiomic_features",
]
