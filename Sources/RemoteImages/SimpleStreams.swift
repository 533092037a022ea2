import DriverKit
import FoundationEssentials
import Model

/// The products of a simple streams server (the format of cloud-images.ubuntu.com and of LXD's image servers): an index
/// that names lists of products, of which each has versions made of files.
struct SimpleStreams: Sendable {
    let server: String
    let fetcher: WebFetcher

    private struct Index: Decodable {
        struct Entry: Decodable {
            var path: String
            var datatype: String?
            var format: String?
        }
        var index: [String: Entry]
    }

    struct Products: Decodable {
        var products: [String: Product]
    }

    struct Product: Decodable {
        var aliases: String?
        var arch: String
        var os: String?
        var release: String?
        var releaseTitle: String?
        var variant: String?
        var versions: [String: Version]
        enum CodingKeys: String, CodingKey {
            case aliases, arch, os, release, variant, versions
            case releaseTitle = "release_title"
        }
    }

    struct Version: Decodable {
        var label: String?
        var items: [String: Item]
    }

    /// A file; the digests of metadata and it together are in the item of the metadata.
    struct Item: Decodable {
        var ftype: String
        var path: String
        var sha256: String?
        var size: Int64?
        var combined: String?
        var combinedRootTar: String?
        var combinedSquashfs: String?
        var combinedDisk: String?
        enum CodingKeys: String, CodingKey {
            case ftype, path, sha256, size
            case combined = "combined_sha256"
            case combinedRootTar = "combined_rootxz_sha256"
            case combinedSquashfs = "combined_squashfs_sha256"
            case combinedDisk = "combined_disk-kvm-img_sha256"
        }
    }

    /// The newest version of the product with this alias, or the one with this fingerprint.
    func find(_ name: String, architecture: String, isMachine: Bool?) async throws -> RemoteImage {
        let index = try decode(Index.self, try await fetcher.document("\(server)/streams/v1/index.json"))
        let lists = index.index.sorted { $0.key < $1.key }.map(\.value).filter {
            ($0.datatype ?? "image-downloads") == "image-downloads" && ($0.format ?? "products:1.0") == "products:1.0"
        }
        let arch = Self.debianName(architecture)
        for list in lists {
            let products = try decode(Products.self, try await fetcher.document(try address(list.path)))
            for (_, product) in products.products.sorted(by: { $0.key < $1.key }) where product.arch == arch {
                let isNamed = Self.names(product, arch).contains(name)
                for (date, version) in product.versions.sorted(by: { $0.key > $1.key }) {
                    guard let image = try image(product, date, version, isMachine) else { continue }
                    if isNamed || (name.utf8.count >= 12 && image.fingerprint?.hasPrefix(name) == true) { return image }
                }
            }
        }
        throw EngineError(
            .notFound, "the image server \(server) has no image \(Names.quoted(name)) for \(architecture)",
            hint: "its images are listed by: lxc image list REMOTE:")
    }

    private static func names(_ product: Product, _ arch: String) -> Set<String> {
        let plain = (product.aliases ?? "").split(separator: ",").map { String($0.filter { $0 != " " }) }
        return Set(plain + plain.map { "\($0)/\(arch)" })
    }

    /// nil if the version has no files of the kind that is wanted.
    private func image(_ product: Product, _ date: String, _ version: Version, _ isMachine: Bool?) throws
        -> RemoteImage?
    {
        let items = Dictionary(version.items.values.map { ($0.ftype, $0) }, uniquingKeysWith: { first, _ in first })
        var properties = ["architecture": product.arch, "serial": date]
        for (key, value) in [
            ("os", product.os), ("release", product.release), ("variant", product.variant), ("label", version.label),
        ] {
            properties[key] = value
        }
        let words = [product.os, product.releaseTitle ?? product.release, product.arch, "(\(date))"]
        properties["description"] = words.compactMap { $0 }.joined(separator: " ")
        func remote(_ fingerprint: String?, _ items: [Item], disk: Bool) throws -> RemoteImage {
            RemoteImage(
                fingerprint: try fingerprint.map(Self.checkedDigest), isMachine: disk, properties: properties,
                files: try items.map { item in
                    guard let sha256 = item.sha256 else {
                        throw EngineError(.unavailable, "the image server \(server) names a file without its SHA-256")
                    }
                    return RemoteImage.File(
                        address: try address(item.path), name: String(item.path.split(separator: "/").last ?? "image"),
                        sha256: try Self.checkedDigest(sha256), size: item.size)
                })
        }
        for kind in ["lxd", "incus"] {
            let metadata = items["\(kind).tar.xz"] ?? items["\(kind).tar.gz"]
            if isMachine == true {
                guard let metadata, let disk = items["disk-kvm.img"] ?? items["disk1.img"] else { continue }
                return try remote(metadata.combinedDisk, [metadata, disk], disk: true)
            }
            if let all = items["\(kind)_combined.tar.gz"] ?? items["\(kind)_combined.tar.xz"] {
                return try remote(all.sha256, [all], disk: false)
            }
            guard let metadata else { continue }
            if let root = items["squashfs"] {
                return try remote(metadata.combinedSquashfs, [metadata, root], disk: false)
            }
            if let root = items["root.tar.xz"] {
                return try remote(metadata.combinedRootTar ?? metadata.combined, [metadata, root], disk: false)
            }
        }
        return nil
    }

    /// A server's own word is a part of an address, never of a path here.
    private func address(_ path: String) throws -> String {
        guard !path.contains("://"), !path.split(separator: "/").contains(".."), !path.isEmpty else {
            throw EngineError(.unavailable, "the image server \(server) names the path \(Names.quoted(path))")
        }
        return server + (path.hasPrefix("/") ? "" : "/") + path
    }

    static func checkedDigest(_ text: String) throws -> String {
        guard text.utf8.count == 64, text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            throw EngineError(.unavailable, "an image server gives \(Names.quoted(text)) as a SHA-256")
        }
        return text
    }

    static func debianName(_ architecture: String) -> String {
        switch architecture {
        case "x86_64": "amd64"
        case "aarch64": "arm64"
        case "armv7l": "armhf"
        case "i686": "i386"
        case "ppc64le": "ppc64el"
        default: architecture
        }
    }

    private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) throws -> T {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw EngineError(
                .unavailable, "the image server \(server) gave a list that is not understood", cause: error)
        }
    }
}
