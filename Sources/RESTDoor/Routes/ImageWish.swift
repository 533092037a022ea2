import DoorKit
import Engine
import HTTPTypes
import HummingbirdCore
import Model
import WireTypes

/// What a client wants to have recorded about an image, read from a body or from the headers of an upload.
struct ImageWish: Sendable {
    var addition: ImageAddition
    private var source: API.ImagesPostSource?
    var secret: String? { source?.secret }

    init(_ post: API.ImagesPost, project: String) {
        source = post.source
        let until = post.expiresAt.flatMap(WireTypes.Timestamp.seconds).flatMap { $0 > 0 ? $0 : nil }
        addition = ImageAddition(
            project: project, properties: post.properties,
            details: ImageDetails(
                isPublic: post.isPublic, autoUpdate: post.autoUpdate, expiresAt: until,
                profiles: post.profiles ?? ["default"], filename: post.filename),
            aliases: (post.aliases ?? []).filter { !$0.name.isEmpty }.map {
                Model.ImageAlias(project: project, name: $0.name, description: $0.description, digest: "")
            })
    }

    init(_ headers: ImageUploadHeaders, project: String) throws {
        addition = ImageAddition(
            project: project, properties: try headers.pairs(API.ImageUploadHeader.properties, "property"),
            details: ImageDetails(
                isPublic: ["1", "true"].contains(headers[API.ImageUploadHeader.isPublic]),
                profiles: try headers.values(API.ImageUploadHeader.profiles, "profile") ?? ["default"],
                filename: headers.filename ?? ""),
            aliases: try (headers.values(API.ImageUploadHeader.aliases, "alias") ?? []).map {
                Model.ImageAlias(project: project, name: $0, digest: "")
            })
    }

    /// Another server is named.
    var isRemote: Bool { source?.server?.isEmpty == false }

    /// The place that the source names.
    func origin() throws -> ImageOrigin {
        guard let source else { throw EngineError(.invalidArgument, "the image has no source") }
        if source.type == "url" {
            guard let url = source.url, !url.isEmpty else {
                throw EngineError(.invalidArgument, "source.url is missing")
            }
            return ImageOrigin(server: url, access: .url, alias: "")
        }
        return try Self.origin(
            server: source.server, protocol: source.protocol, alias: source.alias, fingerprint: source.fingerprint,
            certificate: source.certificate, type: source.imageType)
    }

    /// The image on another server that an instance is to be made from; nil if the source names none. It is kept as
    /// long as it is used now and then, and updated.
    static func remote(_ source: API.InstanceSource, type: String, project: String) throws
        -> (origin: ImageOrigin, secret: String?, addition: ImageAddition)?
    {
        guard source.server?.isEmpty == false, source.type == "image" || source.type.isEmpty else { return nil }
        let origin = try origin(
            server: source.server, protocol: source.protocol, alias: source.alias, fingerprint: source.fingerprint,
            certificate: source.certificate, type: type.isEmpty ? "container" : type)
        let details = ImageDetails(autoUpdate: source.secret == nil, isCached: true)
        return (origin, source.secret, ImageAddition(project: project, details: details))
    }

    static func origin(
        server: String?, protocol name: String?, alias: String?, fingerprint: String?, certificate: String?,
        type: String?
    ) throws -> ImageOrigin {
        let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? "lxd"
        guard let access = ImageOrigin.Access(rawValue: name), access != .url else {
            throw EngineError(
                .invalidArgument, "source.protocol=\(Names.quoted(name)) is not known", hint: "simplestreams or lxd")
        }
        let image = [alias, fingerprint].lazy.compactMap { $0 }.first { !$0.isEmpty }
        guard let image else {
            throw EngineError(.invalidArgument, "the source names no image", hint: "set source.alias or fingerprint")
        }
        var address = server ?? ""
        while address.hasSuffix("/") { address.removeLast() }
        return ImageOrigin(
            server: address, access: access, alias: image, certificate: certificate ?? "",
            isMachine: type.flatMap { $0.isEmpty ? nil : $0 == "virtual-machine" })
    }
}

/// The headers that describe an upload; `X-Incus-…` mean the same as `X-LXD-…`.
struct ImageUploadHeaders: Sendable {
    private let fields: HTTPFields

    init(_ call: Call) { fields = call.request.headers }

    subscript(_ name: String) -> String? {
        let other = name.hasPrefix("X-LXD-") ? "X-Incus-" + name.dropFirst("X-LXD-".utf8.count) : name
        return [name, other].lazy.compactMap { HTTPField.Name($0).flatMap { fields[$0] } }.first
    }

    var filename: String? {
        self[API.ImageUploadHeader.filename]?.removingURLPercentEncoding().map { Spool.harmless($0) }
    }

    var fingerprint: String? { self[API.ImageUploadHeader.fingerprint].flatMap { $0.isEmpty ? nil : $0.lowercased() } }

    /// `key=value` pairs of a header, URL-encoded.
    func pairs(_ name: String, _ what: String) throws -> [String: String] {
        Dictionary(try list(name, what), uniquingKeysWith: { $1 })
    }

    /// The values of `key` in a header; nil if the header is not there.
    func values(_ name: String, _ key: String) throws -> [String]? {
        guard self[name] != nil else { return nil }
        return try list(name, key).filter { $0.0 == key }.map(\.1)
    }

    private func list(_ name: String, _ what: String) throws -> [(String, String)] {
        try (self[name] ?? "").split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0.map { $0 == "+" ? " " : $0 }).removingURLPercentEncoding() }
            guard let key = parts[0], parts.count == 2, let value = parts[1] else {
                throw EngineError(
                    .invalidArgument, "the header \(name) is wrongly encoded: \(what) \(Names.quoted(String(pair)))")
            }
            return (key, value)
        }
    }
}
