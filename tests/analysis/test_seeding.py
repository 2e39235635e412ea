from analysis.seeding import derive_seed


def test_the_seed_depends_on_every_word_and_on_their_order() -> None:
    seeds = {
        derive_seed(*words) for words in ((0, "probes", "fc"), (1, "probes", "fc"), ("probes", 0, "fc"), (0, "probes"))
    }
    assert len(seeds) == 4
    assert derive_seed("ab", "c") != derive_seed("a", "bc")


def test_the_seed_is_the_same_on_every_machine_and_fits_64_bits() -> None:
    assert derive_seed(0, "probes", "fc.weight") == 5798332101697479126
    assert all(0 <= derive_seed(number) < 2**63 for number in range(100))
