import LinuxHost
import Model

/// A layer's digest, checked: its digits are a folder's name.
struct LayerName: Sendable, Hashable {
    /// `sha256:` and the digits.
    let digest: String
    /// 64 lowercase hexadecimal digits.
    let digits: String

    init(_ digest: String) throws {
        let prefix = "sha256:"
        guard digest.hasPrefix(prefix), Self.isDigits(String(digest.dropFirst(prefix.utf8.count))) else {
            throw EngineError(
                .invalidArgument, "layer digest \(Names.quoted(digest)) is not sha256: and 64 hexadecimal digits")
        }
        self.digest = digest
        digits = String(digest.dropFirst(prefix.utf8.count))
    }

    static func isDigits(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    var missing: EngineError {
        EngineError(.notFound, "layer \(digest) is not unpacked", hint: "pull or import its image again")
    }
}

/// The short second name of a layer: the first digits of its digest, as many as make it unique.
struct LayerLink {
    private let name: LayerName

    init(_ name: LayerName) { self.name = name }

    private var target: String { "../\(name.digits)/fs" }

    private var candidates: [String] { [8, 12, 16, 32, 64].map { "l/\(name.digits.prefix($0))" } }

    /// The link, made if it is not there. Several callers at once agree on one.
    func make(in layers: RootDirectory) throws -> String {
        for candidate in candidates {
            do {
                try layers.makeSymbolicLink(candidate, target: target)
                return candidate
            } catch let error as EngineError where error.code == .alreadyExists {
                if try layers.readLink(candidate).text == target { return candidate }
            }
        }
        throw EngineError(.internal, "layer \(name.digest) has no short name left in \(layers.path)/l")
    }

    func remove(from layers: RootDirectory) throws {
        for candidate in candidates where try layers.status(candidate)?.kind == .symbolicLink {
            if try layers.readLink(candidate).text == target { try layers.removeFile(candidate) }
        }
    }
}

extension FileStatus {
    /// overlayfs's mark of a name that lower layers have and this one removed.
    var isWhiteout: Bool { kind == .characterDevice && major == 0 && minor == 0 }
}

extension RootDirectory {
    /// The folder at `path`, links followed inside the root; nil if there is none.
    func subdirectoryIfThere(_ path: String) throws -> RootDirectory? {
        do {
            return try subdirectory(path)
        } catch let error as EngineError where error.code == .notFound {
            return nil
        }
    }
}
