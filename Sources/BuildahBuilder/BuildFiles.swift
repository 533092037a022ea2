import DriverKit
import FoundationEssentials
import Glibc
import LinuxHost
import Model

/// Files and folders of builds.
enum BuildFiles {
    /// Makes a folder that its owner, by default the builds' root, may use and others pass through; nothing if it is
    /// there.
    static func make(_ path: String, owner: UInt32 = UserNamespace.base) throws {
        if mkdir(path, 0o711) != 0, errno != EEXIST { throw EngineError.system(errno, "make the folder \(path)") }
        guard lchown(path, owner, owner) == 0, chmod(path, 0o711) == 0 else {
            throw EngineError.system(errno, "give away the folder \(path)")
        }
    }

    /// Writes a file of the builds' root, which nobody else may read.
    static func write(_ path: String, _ bytes: [UInt8]) throws {
        let raw = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o400)
        guard raw >= 0 else { throw EngineError.system(errno, "create \(path)") }
        let file = OwnedDescriptor(raw)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { throw EngineError.system(errno, "write \(path)") }
            if count > 0 { rest = rest.dropFirst(count) }
        }
        guard fchown(file.raw, UserNamespace.base, UserNamespace.base) == 0 else {
            throw EngineError.system(errno, "give away \(path)")
        }
    }

    /// An OCI layout (image-spec, image-layout.md) of an image of the store, its blobs linked where that can be.
    static func layout(of base: BuildBase, at path: String) throws {
        for name in ["", "/blobs", "/blobs/sha256"] { try make(path + name) }
        for (digest, blob) in base.blobs {
            let target = "\(path)/blobs/sha256/\(digest.dropFirst("sha256:".utf8.count))"
            if link(blob, target) != 0 {
                guard errno == EXDEV || errno == EMLINK else { throw EngineError.system(errno, "link \(blob)") }
                try FileManager.default.copyItem(atPath: blob, toPath: target)
                guard chmod(target, 0o444) == 0 else { throw EngineError.system(errno, "set the mode of \(target)") }
            }
        }
        var status = stat()
        let manifest = base.blobs[base.image.digest] ?? ""
        guard stat(manifest, &status) == 0 else { throw EngineError.system(errno, "look at \(manifest)") }
        let index = """
            {"schemaVersion":2,"manifests":[{"mediaType":"\(base.image.manifestMediaType)",\
            "digest":"\(base.image.digest)","size":\(status.st_size)}]}
            """
        try write(path + "/index.json", Array(index.utf8))
        try write(path + "/oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    }

    /// Removes `name` of a folder with all below it.
    static func remove(_ name: String, from folder: String) async {
        await runBlocking {
            // What is left is removed at the next start.
            try? RootDirectory(path: folder).removeTree(name)
        }
    }
}

/// Gives a whole tree to a user.
struct RootDirectoryOwner: Sendable {
    let user: UInt32

    func take(_ root: RootDirectory) throws {
        var folders = [HostPath("")]
        while let path = folders.popLast() {
            try root.setOwner(path.isEmpty ? HostPath(".") : path, user: user, group: user)
            for entry in try root.list(path.isEmpty ? HostPath(".") : path) {
                let inner = path.appending(entry.name)
                if entry.kind == .directory {
                    folders.append(inner)
                } else {
                    let mode = try root.status(inner)?.permissions
                    try root.setOwner(inner, user: user, group: user)
                    // chown(2) clears set-user-id bits.
                    if let mode, mode & 0o6000 != 0 { try root.setPermissions(inner, mode) }
                }
            }
        }
    }
}
