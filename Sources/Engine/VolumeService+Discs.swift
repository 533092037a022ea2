import DriverKit
import Glibc
public import Model
import StateStore

// Volumes that hold a disc image.
extension VolumeService {
    /// Makes a volume of a disc image.
    ///
    /// - Parameter file: the image, absolute, on the filesystem of the daemon's temporary folder; it stays.
    /// - Throws: `invalidArgument` if it holds no file system of discs.
    @discardableResult
    public func importDisc(_ volume: VolumeRecord, from file: String) async throws -> VolumeRecord {
        try Names.checkVolume(volume.name)
        let size = try Self.discSize(file)
        var volume = volume
        volume.content = .iso
        volume.config["size"] = String(size)
        try VolumeOptions.check(volume.config, .iso)
        let made = volume
        return try await locks.withLock(key(made)) {
            try refuseTaken(made)
            let pool = try await pools.pool(made.pool)
            // In the form of a volume, so that the pool takes it in as a whole or not at all.
            let folder = "\(temporary)/disc-\(InstanceID.random().raw)"
            let image = folder + "/root.img"
            try Folders.make(folder, mode: 0o700)
            defer {
                unlink(image)
                rmdir(folder)
            }
            guard link(file, image) == 0 else {
                throw EngineError(.internal, "linking \(file) to \(image): \(String(cString: strerror(errno)))")
            }
            try refuseForeign(pool.folder(of: made.path))
            try await pool.cloneVolume(folder, to: made.path)
            do { try await add(made) } catch {
                try await pool.removeVolume(made.path)
                throw error
            }
            return made
        }
    }

    /// Bytes of an image that has the descriptors of ISO 9660 (ECMA-119, 8.1) or UDF (ECMA-167, 2/9.1.2) in its sector 16.
    private static func discSize(_ file: String) throws -> Int64 {
        let raw = open(file, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else {
            throw EngineError(.internal, "opening \(file): \(String(cString: strerror(errno)))")
        }
        defer { close(raw) }
        var mark = [UInt8](repeating: 0, count: 5)
        let count = pread(raw, &mark, mark.count, 16 * 2048 + 1)
        guard count == mark.count, ["CD001", "BEA01"].contains(String(decoding: mark, as: UTF8.self)) else {
            throw EngineError(
                .invalidArgument, "the file is no disc image: it has no ISO 9660 or UDF file system",
                hint: "disks are imported with: isle image import")
        }
        return Int64(lseek(raw, 0, SEEK_END))
    }
}
