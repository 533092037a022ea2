import Model

/// The 64 hexadecimal digits that Docker clients know an instance by: its own sixteen and others that follow from them,
/// so that the short form of twelve digits is the beginning of Isle's id.
enum ContainerID {
    static func full(_ id: InstanceID) -> String { id.raw + digits(seed: UInt64(id.raw, radix: 16) ?? 0, count: 3) }

    /// An id for a thing that has only a name, as a network.
    static func of(name: String) -> String {
        // FNV-1a.
        let seed = name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return digits(seed: seed, count: 4)
    }

    /// The twelve digits that people see; also a container's host name unless it was given one.
    static func short(_ id: InstanceID) -> String { String(id.raw.prefix(12)) }

    static func random() -> String { digits(seed: UInt64.random(in: .min ... .max), count: 4) }

    static func isHexadecimal(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// `count` times sixteen digits by splitmix64: well spread, and the same for the same seed.
    private static func digits(seed: UInt64, count: Int) -> String {
        var state = seed
        return (0..<count).map { _ in
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
            mixed ^= mixed >> 31
            let digits = String(mixed, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
