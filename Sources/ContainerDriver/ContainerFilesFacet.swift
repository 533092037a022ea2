import CHost
public import DriverKit
import Glibc
import LinuxHost
import Model

/// The files of a running container as its first process sees them, its mounts included.
struct ContainerFilesFacet: FilesFacet {
    let handle: ContainerHandle

    func tree() async throws -> any FileTree {
        let state = handle.state
        guard let pid = await handle.pid else {
            throw EngineError(.conflict, "instance \(state.name) is not running")
        }
        let root = try await runBlocking { try RootDirectory(path: "/proc/\(pid)/root") }
        return ContainerFileTree(root: root, identity: state.identity, name: state.name)
    }
}

extension ContainerDriver {
    /// The overlay of a container that does not run, mounted where only its descriptor leads. Owners on disk are those
    /// inside, so nothing is mapped.
    public func files(of root: RootSource, runDirectory: String) async throws -> any FileTree {
        guard case .overlay(let overlay) = root else {
            throw EngineError(.unsupported, "only containers have files that can be reached from outside")
        }
        let name = overlay.instanceDirectory.split(separator: "/").last.map(String.init) ?? ""
        let mounted = try await runOnOwnThread { try Self.mount(overlay) }
        return ContainerFileTree(root: mounted, identity: nil, name: name)
    }

    /// In the mount namespace of a thread that ends at once; the mount lives as long as the descriptor.
    private static func mount(_ overlay: OverlayRoot) throws -> RootDirectory {
        func check(_ result: Int32, _ action: String) throws {
            guard result >= 0 else { throw EngineError.system(-result, action) }
        }
        try check(isle_thread_private_mounts(), "make a mount namespace")
        var folders: [OwnedDescriptor] = []
        func reference(_ path: String) throws -> String {
            let result = isle_openat(AT_FDCWD, path, Int32(ISLE_O_PATH) | O_DIRECTORY, 0)
            try check(result, "open the folder \(path)")
            folders.append(OwnedDescriptor(result))
            return "/proc/thread-self/fd/\(result)"
        }
        // Descriptors keep the options within the one page that mount(2) takes.
        let lower = try overlay.lower.map { try reference("\(overlay.layersDirectory)/\($0)") }
        let upper = try reference("\(overlay.instanceDirectory)/\(overlay.upper)")
        let work = try reference("\(overlay.instanceDirectory)/\(overlay.work)")
        let options = "lowerdir=\(lower.joined(separator: ":")),upperdir=\(upper),workdir=\(work)"
        guard options.utf8.count < 4096 else {
            throw EngineError(.unsupported, "\(lower.count) layers do not fit into the options of one overlay mount")
        }
        // The mount point shows nothing of it elsewhere: any folder will do.
        let target = overlay.instanceDirectory
        let flags = UInt(MS_NODEV) | UInt(MS_NOSUID)
        try check(isle_thread_mount("overlay", target, "overlay", flags, options), "mount the files of \(target)")
        withExtendedLifetime(folders) {}
        return try RootDirectory(path: target)
    }
}
