/// A name of the form `debian/bookworm` or `debian/bookworm/minbase`: a suite bootstrapped from the mirror.
struct BaseName: Sendable, Hashable {
    var distribution: String
    var suite: String
    var variant: String

    /// What the image is stored under.
    var reference: String { "localhost/\(distribution)/\(suite):\(variant)" }

    init(distribution: String, suite: String, variant: String) {
        self.distribution = distribution
        self.suite = suite
        self.variant = variant
    }

    /// Nil unless the first word is a distribution that can be bootstrapped.
    init?(_ name: String) {
        let words = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(words.count), words[0] == "debian" || words[0] == "ubuntu",
            words[1...].allSatisfy({
                !$0.isEmpty && $0.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 || (48...57).contains($0) }
            })
        else { return nil }
        distribution = words[0]
        suite = words[1]
        variant = words.count == 3 ? words[2] : "system"
    }
}
