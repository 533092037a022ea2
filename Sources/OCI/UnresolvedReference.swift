internal import Model

/// A reference taken apart but not yet completed: a **short name** has no registry, and configuration decides where it
/// is looked for (containers-registries.conf(5), `unqualified-search-registries` and `aliases`).
public struct UnresolvedReference: Hashable, Sendable {
    /// nil for a short name.
    public var registry: String?
    public var path: String
    public var tag: String?
    public var digest: ContentDigest?

    /// Takes `text` apart. The first component is a registry if it has a dot or a colon, is `localhost`, or has capital
    /// letters.
    /// - Throws: `invalidArgument` if the text can be no reference.
    public init(parsing text: String) throws {
        guard !text.isEmpty else { throw ImageReference.refused(text, "it is empty") }
        guard text.utf8.count <= 512 else { throw ImageReference.refused(text, "it is too long") }
        var rest = text[...]
        if let at = rest.firstIndex(of: "@") {
            digest = try ContentDigest(rest[rest.index(after: at)...])
            rest = rest[..<at]
        }
        let lastSlash = rest.lastIndex(of: "/") ?? rest.startIndex
        // A colon before the last slash is a port; so is one inside brackets.
        if let colon = rest[lastSlash...].lastIndex(of: ":"), !(rest.first == "[" && lastSlash == rest.startIndex) {
            let tag = String(rest[rest.index(after: colon)...])
            guard ImageReference.isTag(tag) else { throw ImageReference.refused(text, "its tag is malformed") }
            self.tag = tag
            rest = rest[..<colon]
        }
        if let slash = rest.firstIndex(of: "/") {
            let head = rest[..<slash]
            if head.contains(".") || head.contains(":") || head == "localhost" || head.lowercased() != head {
                guard ImageReference.isRegistry(String(head)) else {
                    throw ImageReference.refused(text, "its registry is not a host name")
                }
                registry = String(head)
                rest = rest[rest.index(after: slash)...]
            }
        }
        path = String(rest)
        guard ImageReference.isPath(path) else {
            throw ImageReference.refused(
                text, path.lowercased() == path ? "its path is malformed" : "capital letters are not allowed")
        }
        // Sixty-four hexadecimal digits would be an image id.
        if registry == nil, (try? ContentDigest(hex: path)) != nil {
            throw ImageReference.refused(text, "64 hexadecimal digits are an image id")
        }
    }
}
