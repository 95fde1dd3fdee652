"""What autobrats is made of and needs; the settings of the tools are in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithPlans(build_py):
    """Copy the recipes of plans/ into the package, where an installed autobrats finds them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            recipes = sorted((ROOT / "plans").rglob("*.json"))
            if not recipes:
                raise FileNotFoundError(f"{ROOT / 'plans'} holds no recipes; an autobrats without them cannot plan.")
            for recipe in recipes:
                target = Path(self.build_lib) / "autobrats" / "plans" / recipe.relative_to(ROOT / "plans")
                self.mkpath(str(target.parent))
                self.copy_file(str(recipe), str(target))


setup(
    name="autobrats",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "autobrats" / "__init__.py").read_text()).group(1),
    description="Self-configuring segmentation of brain tumours in MRI, and prediction of survival",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["autobrats", "autobrats.*"]),
    cmdclass={"build_py": BuildWithPlans},
    python_requires=">=3.10,<3.13",
    install_requires=[
        "torch>=2.4",
        "numpy>=2.0",
        "SimpleITK>=2.3",
        "nibabel>=5.2",
        "batchgenerators>=0.25",
        "acvl-utils>=0.2.3",
        "blosc2>=3.0",
        "connected-components-3d>=3.14",
        "edt>=2.4",
        "fill-voids>=2.0",
        "isal>=1.7",
        "scipy>=1.11",
        "scikit-learn>=1.4",
        "scikit-survival>=0.23",
        "skops>=0.10",
        "pyradiomics-bhklab>=3.1.4",
        "optuna>=3.6",
        "pydantic>=2.7",
        "pytorch_optimizer>=4.0",
        "rich>=13",
        "matplotlib>=3.8",
        "tensorboard>=2.16",
        "safetensors>=0.4",
        "openvino>=2024.4",
        "loky>=3.4",
        "psutil>=5.9",
    ],
    extras_require={
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "dev": [
            "build>=1.2",
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "MedPy>=0.5",
            "monai>=1.4",
            "mypy>=1.11",
            "onnx>=1.16",
            "onnxruntime>=1.18",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
        ],
    },
    entry_points={
        "console_scripts": [
            "autobrats_plan = autobrats.commands.plan:main",
            "autobrats_train = autobrats.commands.train:main",
            "autobrats_tune = autobrats.commands.tune:main",
            "autobrats_find_best_config = autobrats.commands.find_best_config:main",
            "autobrats_predict = autobrats.commands.predict:main",
            "autobrats_evaluate = autobrats.commands.evaluate:main",
            "autobrats_export = autobrats.commands.export_model:main",
            "autobrats_import = autobrats.commands.import_model:main",
            "autobrats_quantise = autobrats.commands.quantise:main",
            "autobrats_survival_train = autobrats.commands.survival_train:main",
            "autobrats_survival_predict = autobrats.commands.survival_predict:main",
            "autobrats_survival_evaluate = autobrats.commands.survival_evaluate:main",
            "autobrats_demo = autobrats.commands.demo:main",
        ]
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
