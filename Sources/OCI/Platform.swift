internal import Model

/// An operating system and a processor, in Go's names as images use them (image-spec v1.1, image-index.md).
public struct Platform: Hashable, Sendable, Codable, CustomStringConvertible {
    /// `amd64`, `arm64`, `arm`, `riscv64`, `wasm`, …
    public var architecture: String
    /// `linux`, `wasip1`, …
    public var os: String
    /// `v7`, `v8`, …
    public var variant: String?
    public var osVersion: String?
    public var osFeatures: [String]?

    enum CodingKeys: String, CodingKey {
        case architecture, os, variant
        case osVersion = "os.version"
        case osFeatures = "os.features"
    }

    public init(
        os: String = "linux", architecture: String, variant: String? = nil, osVersion: String? = nil,
        osFeatures: [String]? = nil
    ) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
        self.osVersion = osVersion
        self.osFeatures = osFeatures
    }

    /// Linux on the processor that this program was built for.
    public static var host: Platform {
        #if arch(x86_64)
            Platform(architecture: "amd64")
        #elseif arch(arm64)
            Platform(architecture: "arm64", variant: "v8")
        #elseif arch(arm)
            Platform(architecture: "arm", variant: "v7")
        #elseif arch(riscv64)
            Platform(architecture: "riscv64")
        #elseif arch(s390x)
            Platform(architecture: "s390x")
        #else
            Platform(architecture: "unknown")
        #endif
    }

    /// Reads `os/architecture[/variant]` or `architecture`, in Go's or uname's names.
    public init(parsing text: String) throws {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), parts.allSatisfy(Self.isWord) else {
            throw EngineError(
                .invalidArgument, "\(Names.quoted(text)) is not a platform",
                hint: "for instance linux/amd64, linux/arm64/v8")
        }
        let os = parts.count == 1 ? "linux" : parts[0]
        let architecture = parts.count == 1 ? parts[0] : parts[1]
        self = Platform(os: os, architecture: architecture, variant: parts.count == 3 ? parts[2] : nil).normalized
    }

    /// The same platform in the names that images use.
    public var normalized: Platform {
        var result = self
        switch architecture {
        case "x86_64", "x86-64": result.architecture = "amd64"
        case "aarch64": result.architecture = "arm64"
        case "armhf", "armv7l":
            result.architecture = "arm"
            result.variant = variant ?? "v7"
        case "armel", "armv6l":
            result.architecture = "arm"
            result.variant = variant ?? "v6"
        case "i386", "i486", "i586", "i686", "x86": result.architecture = "386"
        default: break
        }
        switch (result.architecture, result.variant) {
        case ("arm64", nil): result.variant = "v8"
        case ("arm", nil): result.variant = "v7"
        case ("amd64", "v1"): result.variant = nil
        default: break
        }
        return result
    }

    /// The processor as uname(2) says it: `x86_64`, `aarch64`.
    public var machine: String {
        switch normalized.architecture {
        case "amd64": "x86_64"
        case "arm64": "aarch64"
        case "386": "i686"
        case "arm": variant == "v6" ? "armv6l" : "armv7l"
        default: architecture
        }
    }

    public var description: String { os + "/" + architecture + (variant.map { "/" + $0 } ?? "") }

    /// How well content for `self` runs on `host`: 0 is best, nil is not at all. An older variant of the processor
    /// runs on a newer one, not the other way round.
    public func distance(from host: Platform) -> Int? {
        let mine = normalized
        let wanted = host.normalized
        guard mine.os == wanted.os, mine.architecture == wanted.architecture else { return nil }
        let level = { (variant: String?) in variant.flatMap { Int($0.dropFirst()) } ?? 0 }
        let difference = level(wanted.variant) - level(mine.variant)
        return difference < 0 ? nil : difference
    }

    private static func isWord(_ text: String) -> Bool {
        guard (1...32).contains(text.utf8.count), let first = text.utf8.first, isAlphanumeric(first) else {
            return false
        }
        return text.utf8.allSatisfy { isAlphanumeric($0) || [45, 46, 95].contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...122).contains(byte)
    }
}
