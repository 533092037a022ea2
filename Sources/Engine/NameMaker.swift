/// Names for instances that were not given one: an adjective and an animal.
enum NameMaker {
    private static let adjectives = [
        "able", "amber", "brave", "brisk", "calm", "clear", "civil", "crisp", "daring", "eager", "early", "fair",
        "fine",
        "fleet", "fond", "fresh", "gentle", "glad", "grand", "happy", "hardy", "ideal", "jolly", "keen", "kind",
        "light",
        "lively", "loyal", "lucky", "mellow", "merry", "mild", "neat", "noble", "open", "patient", "polite", "proud",
        "quick", "quiet", "rapid", "ready", "sharp", "sincere", "smart", "steady", "sunny", "swift", "tidy", "true",
        "vivid", "warm", "wise", "witty",
    ]
    private static let animals = [
        "badger", "bison", "bobcat", "crane", "cricket", "deer", "dolphin", "dove", "eagle", "falcon", "ferret",
        "finch",
        "fox", "gecko", "goose", "gull", "hare", "hawk", "heron", "ibis", "jackal", "jay", "koala", "lark", "lemur",
        "lynx", "magpie", "marten", "mole", "moose", "newt", "otter", "owl", "oyster", "panda", "parrot", "pelican",
        "penguin", "pigeon", "plover", "puffin", "quail", "rabbit", "raven", "robin", "salmon", "seal", "shrew",
        "sparrow",
        "stork", "swan", "tapir", "tern", "toad", "trout", "turtle", "viper", "vole", "walrus", "weasel", "wren", "yak",
    ]

    static func random() -> String {
        "\(adjectives.randomElement() ?? "calm")-\(animals.randomElement() ?? "otter")-\(Int.random(in: 10...99))"
    }
}
