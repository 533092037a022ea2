import Model

/// The little of an OVF description (DMTF DSP0243) that tells which file of an OVA is the disk to boot.
///
/// A scanner of tags and attributes, no XML parser: there are no entities but the five predefined ones, no document
/// types, nothing is fetched, and the text is bounded by the caller.
struct OVFDescription: Sendable, Hashable {
    struct Disk: Sendable, Hashable {
        var file: String
        var isCompressed: Bool
    }

    /// In the order of the description; the first one is the one to boot.
    var disks: [Disk] = []
    /// The description asks for UEFI.
    var wantsUEFI = false

    init(_ text: [UInt8], name: String) throws {
        var files: [String: Disk] = [:]
        var references: [String] = []
        var scanner = TagScanner(text)
        while let tag = try scanner.next(name) {
            switch tag.name {
            case "File":
                guard let id = tag.attributes["id"], let href = tag.attributes["href"] else { continue }
                let compression = tag.attributes["compression"] ?? "identity"
                guard compression == "identity" || compression == "" || compression == "gzip" else {
                    throw EngineError(.unsupported, "OVA \(name) compresses a disk by \(Names.quoted(compression))")
                }
                files[id] = Disk(file: try Self.plain(href, name), isCompressed: compression == "gzip")
            case "Disk":
                guard tag.attributes["parentRef"] == nil else {
                    throw EngineError(.unsupported, "OVA \(name) has a disk that lies over another one")
                }
                if let reference = tag.attributes["fileRef"] { references.append(reference) }
            case "Config":
                if tag.attributes["key"] == "firmware" && tag.attributes["value"] == "efi" { wantsUEFI = true }
            default: break
            }
        }
        disks = try references.map {
            guard let file = files[$0] else {
                throw EngineError(
                    .invalidArgument, "OVA \(name) describes a disk whose file \(Names.quoted($0)) it does not name")
            }
            return file
        }
        guard !disks.isEmpty else { throw EngineError(.invalidArgument, "OVA \(name) describes no disk") }
    }

    /// A member of the OVA itself: no address, no path.
    static func plain(_ href: String, _ name: String) throws -> String {
        guard !href.isEmpty, href.utf8.count <= 255, href != ".", href != "..", !href.contains("/"),
            !href.contains("\\"),
            !href.contains(":")
        else {
            throw EngineError(
                .invalidArgument,
                "OVA \(name) names the file \(Names.quoted(href)), which is not in it and is not followed")
        }
        return href
    }
}

/// Finds the tags of an XML text.
private struct TagScanner {
    struct Tag {
        /// Without the prefix of its namespace.
        var name: String
        var attributes: [String: String]
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next opening tag, nil at the end.
    mutating func next(_ name: String) throws -> Tag? {
        while let start = bytes[position...].firstIndex(of: UInt8(ascii: "<")) {
            position = start + 1
            if skip("!--", to: "-->") || skip("?", to: "?>") || skip("![CDATA[", to: "]]>") { continue }
            guard !starts(with: "!") else {
                throw EngineError(
                    .invalidArgument,
                    "the description of OVA \(name) declares a document type or entities, which is refused")
            }
            guard let end = tagEnd() else {
                throw EngineError(.invalidArgument, "the description of OVA \(name) ends within a tag")
            }
            let tag = bytes[position..<end]
            position = end + 1
            if tag.first != UInt8(ascii: "/") { return Self.parse(tag) }
        }
        return nil
    }

    private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private mutating func skip(_ opening: String, to closing: String) -> Bool {
        guard starts(with: opening) else { return false }
        let end = Array(closing.utf8)
        position += opening.utf8.count
        while position < bytes.count && !bytes[position...].starts(with: end) { position += 1 }
        position = min(position + end.count, bytes.count)
        return true
    }

    /// The `>` that ends the tag, not one within quotes.
    private func tagEnd() -> Int? {
        var quote: UInt8?
        for index in position..<bytes.count {
            let byte = bytes[index]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                return index
            }
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private static func local(_ name: some Sequence<UInt8>) -> String {
        let text = String(decoding: Array(name), as: UTF8.self)
        return text.split(separator: ":").last.map(String.init) ?? text
    }

    private static func parse(_ tag: ArraySlice<UInt8>) -> Tag {
        let name = tag.prefix { !isSpace($0) && $0 != UInt8(ascii: "/") }
        var result = Tag(name: local(name), attributes: [:])
        var rest = tag.dropFirst(name.count)
        while let equals = rest.firstIndex(of: UInt8(ascii: "=")) {
            let key = rest[..<equals].filter { !isSpace($0) }
            let after = rest[(equals + 1)...].drop(while: isSpace)
            guard let quote = after.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'"),
                let end = after.dropFirst().firstIndex(of: quote)
            else { break }
            result.attributes[local(key)] = unescaped(
                String(decoding: after[(after.startIndex + 1)..<end], as: UTF8.self))
            rest = after[(end + 1)...]
        }
        return result
    }

    /// The five predefined entities; `&amp;` last, so that nothing is undone twice.
    private static func unescaped(_ text: String) -> String {
        guard text.contains("&") else { return text }
        var out = ""
        var rest = text[...]
        let entities = ["&lt;": "<", "&gt;": ">", "&quot;": "\"", "&apos;": "'", "&amp;": "&"]
        while let first = rest.first {
            if first == "&", let (entity, value) = entities.first(where: { rest.hasPrefix($0.key) }) {
                out += value
                rest = rest.dropFirst(entity.count)
            } else {
                out.append(first)
                rest = rest.dropFirst()
            }
        }
        return out
    }
}
