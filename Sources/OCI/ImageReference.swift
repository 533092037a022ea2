internal import Model

/// The name of an image in a registry: `[host[:port]/]path[:tag][@sha256:…]`, by the rules of Docker
/// (distribution/reference).
///
/// Without a host the name is one of `docker.io`; without a further slash there, one of `docker.io/library`; without a
/// tag and digest its tag is `latest`.
public struct ImageReference: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Registry as it is written in names: `docker.io`, `localhost:5000`, `[::1]:5000`.
    public let registry: String
    /// Path of the repository in the registry: `library/alpine`.
    public let repository: String
    public var tag: String?
    public var digest: ContentDigest?

    /// Makes a reference of checked parts; `invalidArgument` if a part is not allowed.
    public init(registry: String, repository: String, tag: String? = nil, digest: ContentDigest? = nil) throws {
        let whole = registry + "/" + repository
        guard Self.isRegistry(registry) else { throw Self.refused(whole, "its registry is not a host name") }
        guard Self.isPath(repository) else {
            throw Self.refused(
                whole,
                repository.lowercased() == repository ? "its path is malformed" : "capital letters are not allowed")
        }
        guard whole.utf8.count <= 255 else { throw Self.refused(whole, "it is longer than 255 bytes") }
        if let tag, !Self.isTag(tag) { throw Self.refused(whole + ":" + tag, "its tag is malformed") }
        self.registry = registry
        self.repository = repository
        self.tag = tag ?? (digest == nil ? "latest" : nil)
        self.digest = digest
    }

    /// Reads a reference as a person types it; `invalidArgument` if it is malformed.
    public init(parsing text: String) throws {
        try self.init(UnresolvedReference(parsing: text), registry: nil)
    }

    /// The reference that `name` means in `registry`; nil is `docker.io`. A name with a registry of its own keeps it.
    public init(_ name: UnresolvedReference, registry: String?) throws {
        var host = name.registry ?? registry ?? "docker.io"
        if host == "index.docker.io" || host == "registry-1.docker.io" { host = "docker.io" }
        let repository =
            host == "docker.io" && !name.path.contains("/") ? "library/" + name.path : name.path
        try self.init(registry: host, repository: repository, tag: name.tag, digest: name.digest)
    }

    public init(from decoder: any Decoder) throws {
        try self.init(parsing: decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Registry and path.
    public var name: String { registry + "/" + repository }

    /// The whole name: `docker.io/library/alpine:latest`.
    public var description: String {
        name + (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// The name as people write it: `alpine:latest`. The whole name where the short one would mean another image.
    public var familiar: String {
        guard registry == "docker.io" else { return description }
        let library = "library/"
        let short = repository.hasPrefix(library) ? String(repository.dropFirst(library.count)) : repository
        let text = short + (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "")
        return (try? ImageReference(parsing: text)) == self ? text : description
    }

    /// What stands after `/manifests/`: the digest if there is one, since it says more than the tag.
    public var target: String { digest?.description ?? tag ?? "latest" }

    static func refused(_ text: String, _ why: String) -> EngineError {
        EngineError(
            .invalidArgument, "\(Names.quoted(text)) is not an image reference: \(why)",
            hint: "for instance alpine, debian:12, localhost:5000/team/app:1.0")
    }

    /// Runs of `a-z0-9` joined by one `.`, one or two `_`, or any number of `-`; components joined by `/`.
    static func isPath(_ text: String) -> Bool {
        text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { component in
            var run = [UInt8]()
            var afterWord = false
            for byte in component {
                if (97...122).contains(byte) || (48...57).contains(byte) {
                    guard run.isEmpty || (afterWord && isSeparator(run)) else { return false }
                    run = []
                    afterWord = true
                } else {
                    run.append(byte)
                }
            }
            return afterWord && run.isEmpty
        }
    }

    private static func isSeparator(_ run: [UInt8]) -> Bool {
        run == Array(".".utf8) || run == Array("_".utf8) || run == Array("__".utf8)
            || run.allSatisfy { $0 == UInt8(ascii: "-") }
    }

    static func isTag(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...128).contains(bytes.count), let first = bytes.first else { return false }
        return isWord(first) && bytes.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    /// Host name, IPv4 or bracketed IPv6 address, with or without a port.
    static func isRegistry(_ text: String) -> Bool {
        var host = text[...]
        if let bracket = text.lastIndex(of: "]") {
            guard text.first == "[" else { return false }
            host = text[text.index(after: text.startIndex)..<bracket]
            guard !host.isEmpty, host.utf8.allSatisfy({ isHex($0) || $0 == UInt8(ascii: ":") }) else { return false }
            let rest = text[text.index(after: bracket)...]
            return rest.isEmpty || (rest.first == ":" && isPort(rest.dropFirst()))
        }
        if let colon = text.firstIndex(of: ":") {
            guard isPort(text[text.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        return host.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.first, let last = label.last else { return false }
            return isAlphanumeric(first) && isAlphanumeric(last)
                && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { (48...57).contains($0) } && UInt16(text) ?? 0 != 0
    }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
    private static func isHex(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }
    private static func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }
}
