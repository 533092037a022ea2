import CHost
import DriverKit
import Glibc
import LinuxHost
import Model

/// Mounts and device files in the mount namespace of a running container.
///
/// The work is done by a thread that enters that namespace: paths are resolved in it and lead nowhere else, and what is
/// mounted shows there alone.
struct ContainerDevices: DevicesFacet {
    let handle: ContainerHandle

    func attach(_ mount: MountSpec) async throws {
        let target = try SpecMounts.checkedTarget(mount.target)
        let (pid, owners) = try await context()
        var isMapped = mount.idMapped && owners.identity != nil
        if isMapped, mount.isMappingOptional, try await OwnerShift.obstacle(mount.source) != nil { isMapped = false }
        try await runOnOwnThread { [isMapped] in
            let namespace = try Self.open("/proc/\(pid)/ns/mnt")
            let users = isMapped ? try Self.open("/proc/\(pid)/ns/user") : nil
            let isFolder = HostFiles.isDirectory(mount.source)
            let copied = isle_tree_copy(
                mount.source, mount.recursive && users == nil ? 1 : 0, mount.readOnly ? 1 : 0, users?.raw ?? -1)
            try Self.check(copied, "open \(Names.printable(mount.source))")
            try Self.place(OwnedDescriptor(copied), at: target, isFolder: isFolder, in: namespace, owners)
        }
    }

    func detach(target: String) async throws {
        let target = try SpecMounts.checkedTarget(target)
        let (pid, _) = try await context()
        try await runOnOwnThread {
            let namespace = try Self.open("/proc/\(pid)/ns/mnt")
            try Self.check(isle_thread_join_mounts(namespace.raw), "enter the mounts of the instance")
            let result = isle_unmount(target)
            // EINVAL: nothing is mounted there, or not any more.
            if result != -EINVAL, result != -ENOENT { try Self.check(result, "unmount \(target)") }
        }
    }

    func attach(_ device: DeviceNode) async throws {
        let target = try SpecMounts.checkedTarget(device.target)
        let (pid, owners) = try await context()
        let folder = handle.paths.mounts
        try await runOnOwnThread {
            let namespace = try Self.open("/proc/\(pid)/ns/mnt")
            // Made in a folder in memory that only this thread sees; the mount of the file keeps it.
            try Self.check(isle_thread_private_mounts(), "make a mount namespace")
            try Self.check(isle_mount_device_folder(folder), "make a folder for device files")
            let path = "\(folder)/device"
            let made = isle_make_device(
                path, device.isBlock ? 1 : 0, device.major, device.minor, device.mode,
                try owners.outside(user: device.uid), try owners.outside(group: device.gid))
            try Self.check(made, "make the device file \(target)")
            let tree = isle_tree_copy(path, 0, 0, -1)
            try Self.check(tree, "open the device file \(target)")
            try Self.place(OwnedDescriptor(tree), at: target, isFolder: false, in: namespace, owners)
        }
    }

    func context() async throws -> (pid: Int32, owners: FileOwners) {
        guard let pid = await handle.pid else {
            throw EngineError(.conflict, "instance \(handle.state.name) is not running")
        }
        return (pid, FileOwners(identity: handle.state.identity))
    }

    /// Enters the namespace with the calling thread and mounts `tree` at `target`, which is made if it is missing.
    private static func place(
        _ tree: OwnedDescriptor, at target: String, isFolder: Bool, in namespace: OwnedDescriptor, _ owners: FileOwners
    ) throws {
        try check(isle_thread_join_mounts(namespace.raw), "enter the mounts of the instance")
        let root = try RootDirectory(path: "/")
        try owners.act {
            if isFolder { return try root.makeDirectories(target) }
            let parent = GuestPath(target).parent
            if !parent.names.isEmpty { try root.makeDirectories(parent.host) }
            if try !root.exists(target) { _ = try root.createFile(target, mode: 0o644) }
        }
        let place = try root.open(target, Int32(ISLE_O_PATH))
        try check(isle_tree_mount(tree.raw, place.raw), "mount at \(target) in the instance")
    }

    private static func open(_ path: String) throws -> OwnedDescriptor {
        let result = isle_openat(AT_FDCWD, path, O_RDONLY, 0)
        try check(result, "open \(path)")
        return OwnedDescriptor(result)
    }

    static func check(_ result: Int32, _ action: String) throws {
        guard result >= 0 else { throw EngineError.system(-result, action) }
    }
}
