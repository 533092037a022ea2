import CHost
import Glibc
import LinuxHost
import Model

/// Layers joined to one tree, read-only.
enum LayerView {
    /// Mounts the layers by overlayfs where only the descriptor leads: in the mount namespace of a thread that ends at
    /// once. The mount lives until the result and the processes that work in it are gone.
    /// - Parameter lower: paths below `layers`, topmost first.
    /// - Parameter mountPoint: an empty folder.
    static func open(_ lower: [String], of layers: RootDirectory, at mountPoint: String) async throws -> RootDirectory {
        try await runOnOwnThread {
            func check(_ result: Int32, _ action: String) throws {
                guard result >= 0 else { throw EngineError.system(-result, action) }
            }
            try check(isle_thread_private_mounts(), "make a mount namespace")
            // Relative names keep the options within one page; older kernels want two lower folders at least.
            try check(isle_thread_chdir(layers.path), "enter \(layers.path)")
            let folders = lower.count == 1 ? lower + ["empty/fs"] : lower
            let options = "lowerdir=" + folders.joined(separator: ":")
            guard options.utf8.count < 4096 else {
                throw EngineError(
                    .unsupported, "\(lower.count) layers do not fit into the options of one overlay mount")
            }
            try check(
                isle_thread_mount("overlay", mountPoint, "overlay", UInt(MS_RDONLY), options),
                "mount the overlay of \(lower.count) layers")
            return try RootDirectory(path: mountPoint)
        }
    }
}
