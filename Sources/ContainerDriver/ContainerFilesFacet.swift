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
        return ContainerFileTree(
            root: root.shown(as: state.name + ":"), identity: state.identity, name: state.name)
    }
}

extension ContainerDriver {
    /// The overlay of a container that does not run, mounted where only its descriptor leads. Owners on disk are those
    /// inside, so nothing is mapped.
    public func files(of root: RootSource, mounts: [MountSpec], runDirectory: String) async throws -> any FileTree {
        guard case .overlay(let overlay) = root else {
            throw EngineError(.unsupported, "only containers have files that can be reached from outside")
        }
        let name = overlay.instanceDirectory.split(separator: "/").last.map(String.init) ?? ""
        let mounted = try await runOnOwnThread { try Self.mount(overlay, mounts) }
        return ContainerFileTree(root: mounted.shown(as: ""), identity: nil, name: name)
    }

    /// In the mount namespace of a thread that ends at once; the mount lives as long as the descriptor.
    private static func mount(_ overlay: OverlayRoot, _ mounts: [MountSpec]) throws -> RootDirectory {
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
        let root = try RootDirectory(path: target)
        guard !mounts.isEmpty else { return root }
        for mount in mounts.sorted(by: { $0.target.utf8.count < $1.target.utf8.count }) {
            try show(mount, in: root, check)
        }
        // The end of the namespace takes the mounts apart; a copy of the whole stays as one.
        let whole = isle_tree_copy(target, 1, 0, -1)
        try check(whole, "keep the mounts of \(target)")
        return RootDirectory(descriptor: OwnedDescriptor(whole), path: target)
    }

    /// Mounts a folder or file of the host on its target below `root`, which is made if it is missing.
    private static func show(
        _ mount: MountSpec, in root: RootDirectory, _ check: (Int32, String) throws -> Void
    ) throws {
        let target = HostPath(try SpecMounts.checkedTarget(mount.target))
        let file = isle_openat(AT_FDCWD, mount.source, Int32(ISLE_O_PATH), 0)
        try check(file, "open \(mount.source)")
        let source = OwnedDescriptor(file)
        var status = stat()
        guard fstat(source.raw, &status) == 0 else { throw EngineError.system(errno, "look at \(mount.source)") }
        if try root.followedStatus(target) == nil {
            // A file is shown where one is; an empty one would be left behind.
            guard status.st_mode & S_IFMT == S_IFDIR else { return }
            try root.makeDirectories(target)
        }
        let place = try root.open(target, Int32(ISLE_O_PATH))
        let tree = isle_thread_clone_mount(source.raw, mount.readOnly ? 1 : 0)
        try check(tree, "copy the mount of \(mount.source)")
        let copy = OwnedDescriptor(tree)
        try check(isle_tree_mount(copy.raw, place.raw), "show \(mount.source) at \(mount.target)")
    }
}
