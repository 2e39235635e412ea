"""The literature that a report cites, torch-free: what it is called in a text, and BibTeX to copy."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One work of the literature."""

    key: str  # of its BibTeX entry
    kind: str  # of that entry
    cited: str  # in a text: `Foret et al. 2021`
    fields: tuple[tuple[str, str], ...]

    @property
    def bibtex(self) -> str:
        """The entry, ready to be copied."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def _article(key: str, cited: str, author: str, title: str, journal: str, year: int) -> Work:
    fields = (("author", author), ("title", title), ("journal", journal), ("year", str(year)))
    return Work(key, "article", cited, fields)


def _arxiv(key: str, cited: str, author: str, title: str, eprint: str, year: int, venue: str = "") -> Work:
    fields = [("author", author), ("title", title), *([("booktitle", venue)] if venue else []), ("year", str(year))]
    kind = "inproceedings" if venue else "misc"
    return Work(key, kind, cited, (*fields, ("eprint", eprint), ("archivePrefix", "arXiv")))


_ALL = (
    _arxiv(
        "zhang2025renyi",
        "Zhang et al. 2025",
        "Zhang, Qiaozhe and Sun, Jun and Zhang, Ruijie and Liu, Yingzhuang",
        "R{\\'e}nyi Sharpness: A Novel Sharpness that Strongly Correlates with Generalization",
        "2510.07758",
        2025,
    ),
    _article(
        "hutchinson1989stochastic",
        "Hutchinson 1989",
        "Hutchinson, Michael F.",
        "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines",
        "Communications in Statistics: Simulation and Computation",
        1989,
    ),
    _article(
        "ubaru2017fast",
        "Ubaru et al. 2017",
        "Ubaru, Shashanka and Chen, Jie and Saad, Yousef",
        "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature",
        "SIAM Journal on Matrix Analysis and Applications",
        2017,
    ),
    _article(
        "schraudolph2002fast",
        "Schraudolph 2002",
        "Schraudolph, Nicol N.",
        "Fast curvature matrix-vector products for second-order gradient descent",
        "Neural Computation",
        2002,
    ),
    _arxiv(
        "keskar2017large",
        "Keskar et al. 2017",
        "Keskar, Nitish Shirish and Mudigere, Dheevatsa and Nocedal, Jorge and Smelyanskiy, Mikhail and Tang, Ping Tak "
        "Peter",
        "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima",
        "1609.04836",
        2017,
        "International Conference on Learning Representations",
    ),
    _arxiv(
        "liang2019fisher",
        "Liang et al. 2019",
        "Liang, Tengyuan and Poggio, Tomaso and Rakhlin, Alexander and Stokes, James",
        "Fisher--Rao Metric, Geometry, and Complexity of Neural Networks",
        "1711.01530",
        2019,
        "Artificial Intelligence and Statistics",
    ),
    _arxiv(
        "foret2021sharpness",
        "Foret et al. 2021",
        "Foret, Pierre and Kleiner, Ariel and Mobahi, Hossein and Neyshabur, Behnam",
        "Sharpness-Aware Minimization for Efficiently Improving Generalization",
        "2010.01412",
        2021,
        "International Conference on Learning Representations",
    ),
    _arxiv(
        "kwon2021asam",
        "Kwon et al. 2021",
        "Kwon, Jungmin and Kim, Jeongseop and Park, Hyunseo and Choi, In Kwon",
        "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks",
        "2102.11600",
        2021,
        "International Conference on Machine Learning",
    ),
    _arxiv(
        "andriushchenko2023modern",
        "Andriushchenko et al. 2023",
        'Andriushchenko, Maksym and Croce, Francesco and M{\\"u}ller, Maximilian and Hein, Matthias and Flammarion, '
        "Nicolas",
        "A Modern Look at the Relationship between Sharpness and Generalization",
        "2302.07011",
        2023,
        "International Conference on Machine Learning",
    ),
    _arxiv(
        "croce2020reliable",
        "Croce and Hein 2020",
        "Croce, Francesco and Hein, Matthias",
        "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
        "2003.01690",
        2020,
        "International Conference on Machine Learning",
    ),
    _arxiv(
        "jiang2020fantastic",
        "Jiang et al. 2020",
        "Jiang, Yiding and Neyshabur, Behnam and Mobahi, Hossein and Krishnan, Dilip and Bengio, Samy",
        "Fantastic Generalization Measures and Where to Find Them",
        "1912.02178",
        2020,
        "International Conference on Learning Representations",
    ),
    _arxiv(
        "dziugaite2020search",
        "Dziugaite et al. 2020",
        "Dziugaite, Gintare Karolina and Drouin, Alexandre and Neal, Brady and Rajkumar, Nitarshan and Caballero, "
        "Ethan and Wang, Linbo and Mitliagkas, Ioannis and Roy, Daniel M.",
        "In search of robust measures of generalization",
        "2010.11924",
        2020,
        "Advances in Neural Information Processing Systems",
    ),
    _arxiv(
        "neyshabur2015norm",
        "Neyshabur et al. 2015",
        "Neyshabur, Behnam and Tomioka, Ryota and Srebro, Nathan",
        "Norm-Based Capacity Control in Neural Networks",
        "1503.00036",
        2015,
        "Conference on Learning Theory",
    ),
    _arxiv(
        "nagarajan2019generalization",
        "Nagarajan and Kolter 2019",
        "Nagarajan, Vaishnavh and Kolter, J. Zico",
        "Generalization in Deep Networks: The Role of Distance from Initialization",
        "1901.01672",
        2019,
    ),
    _arxiv(
        "petzka2021relative",
        "Petzka et al. 2021",
        "Petzka, Henning and Kamp, Michael and Adilova, Linara and Sminchisescu, Cristian and Boley, Mario",
        "Relative Flatness and Generalization",
        "2001.00939",
        2021,
        "Advances in Neural Information Processing Systems",
    ),
    _arxiv(
        "maddox2020rethinking",
        "Maddox et al. 2020",
        "Maddox, Wesley J. and Benton, Gregory and Wilson, Andrew Gordon",
        "Rethinking Parameter Counting in Deep Models: Effective Dimensionality Revisited",
        "2003.02139",
        2020,
    ),
    _article(
        "rudelson2007sampling",
        "Rudelson and Vershynin 2007",
        "Rudelson, Mark and Vershynin, Roman",
        "Sampling from large matrices: an approach through geometric functional analysis",
        "Journal of the ACM",
        2007,
    ),
    _article(
        "kendall1938new", "Kendall 1938", "Kendall, Maurice G.", "A new measure of rank correlation", "Biometrika", 1938
    ),
    _article(
        "freedman1983nonstochastic",
        "Freedman and Lane 1983",
        "Freedman, David and Lane, David",
        "A nonstochastic interpretation of reported significance levels",
        "Journal of Business and Economic Statistics",
        1983,
    ),
    _article(
        "liu2018covariate",
        "Liu et al. 2018",
        "Liu, Qi and Li, Chun and Wanga, Valentine and Shepherd, Bryan E.",
        "Covariate-adjusted Spearman's rank correlation with probability-scale residuals",
        "Biometrics",
        2018,
    ),
    _article(
        "holm1979simple",
        "Holm 1979",
        "Holm, Sture",
        "A simple sequentially rejective multiple test procedure",
        "Scandinavian Journal of Statistics",
        1979,
    ),
    Work(
        "westfall1993resampling",
        "book",
        "Westfall and Young 1993",
        (
            ("author", "Westfall, Peter H. and Young, S. Stanley"),
            ("title", "Resampling-Based Multiple Testing"),
            ("publisher", "Wiley"),
            ("year", "1993"),
        ),
    ),
)
WORKS: dict[str, Work] = {work.key: work for work in _ALL}


def cited(keys: str) -> str:
    """`Foret et al. 2021; Kwon et al. 2021` for keys that are separated by blanks."""
    return "; ".join(WORKS[key].cited for key in keys.split())


def bibtex(keys: Iterable[str]) -> str:
    """The entries of some works, each once, in the order of the bibliography."""
    wanted = set(keys)
    return "\n\n".join(work.bibtex for work in _ALL if work.key in wanted)
