import Model

/// An absolute http or https URL taken apart: as much of RFC 3986 as registries need, read strictly, since it comes from
/// a peer and decides where secrets go.
struct WebLocation: Hashable, Sendable, CustomStringConvertible {
    var isSecure: Bool
    /// Host and, if stated, port; in lower case.
    var authority: String
    /// Path and query; begins with `/`.
    var target: String

    init(isSecure: Bool, authority: String, target: String) {
        self.isSecure = isSecure
        self.authority = authority.lowercased()
        self.target = target
    }

    /// nil unless `text` is an absolute URL without user name, white space or control characters.
    init?(_ text: String) {
        guard text.utf8.count <= 8192, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") })
        else { return nil }
        let lower = text.prefix(8).lowercased()
        let schemeLength: Int
        if lower.hasPrefix("https://") {
            (isSecure, schemeLength) = (true, 8)
        } else if lower.hasPrefix("http://") {
            (isSecure, schemeLength) = (false, 7)
        } else {
            return nil
        }
        var rest = text.dropFirst(schemeLength)
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = rest[..<end].lowercased()
        let tail = String(rest[end...])
        target = tail.hasPrefix("/") ? tail : "/" + tail
        // User information is refused by this, too.
        guard Self.isAuthority(authority) else { return nil }
    }

    /// The location that `reference` (absolute or relative, as in a `Location` header) means when it is found here.
    func resolving(_ reference: String) -> WebLocation? {
        if let absolute = WebLocation(reference) { return absolute }
        let scheme = isSecure ? "https" : "http"
        if reference.hasPrefix("//") { return WebLocation(scheme + ":" + reference) }
        if reference.hasPrefix("/") { return WebLocation("\(scheme)://\(authority)\(reference)") }
        guard !reference.contains("://"), !reference.isEmpty else { return nil }
        let path = target.prefix { $0 != "?" }
        let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        return WebLocation("\(scheme)://\(authority)\(folder)\(reference)")
    }

    /// The same with a further query parameter, whose value needs no escapes.
    func adding(query: String) -> WebLocation {
        WebLocation(
            isSecure: isSecure, authority: authority, target: target + (target.contains("?") ? "&" : "?") + query)
    }

    var host: String { HostName.host(of: authority) }

    /// Same scheme, host and port: where a registry's secrets may be sent.
    func isSameOrigin(as other: WebLocation) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }

    var description: String { (isSecure ? "https://" : "http://") + authority + target }

    /// Without the query, which may hold signatures.
    var forPeople: String { (isSecure ? "https://" : "http://") + authority + target.prefix { $0 != "?" } }

    /// The port, stated or by the scheme.
    var port: Int {
        let tail = authority.hasPrefix("[") ? authority.drop { $0 != "]" }.dropFirst() : authority.drop { $0 != ":" }
        return Int(tail.dropFirst()) ?? (isSecure ? 443 : 80)
    }

    private static func isAuthority(_ text: String) -> Bool {
        guard !text.isEmpty else { return false }
        if text.hasPrefix("[") { return text.contains("]") && !text.contains("@") }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, !parts[0].isEmpty else { return false }
        if parts.count == 2, UInt16(parts[1]) == nil { return false }
        return parts[0].utf8.allSatisfy {
            (48...57).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0)
        }
    }
}
