import CHost
import Glibc
import Model

extension Limits.DiskRate {
    /// What to write for the disk with the number `device` (`MAJOR:MINOR`). Unlimited rates are written too, so that
    /// one that was taken away is lifted.
    func settings(device: String, unified: Bool) -> [CgroupSetting] {
        let key = "limits.read and limits.write"
        if unified {
            func word(_ name: String, _ value: Int64?) -> String { "\(name)=\(value.map(String.init) ?? "max")" }
            let words = [
                word("rbps", readBytes), word("wbps", writeBytes), word("riops", readOperations),
                word("wiops", writeOperations),
            ]
            return [CgroupSetting("io", "io.max", "\(device) \(words.joined(separator: " "))", key: key)]
        }
        return [
            ("read_bps", readBytes), ("write_bps", writeBytes), ("read_iops", readOperations),
            ("write_iops", writeOperations),
        ].map { name, value in
            CgroupSetting("io", "blkio.throttle.\(name)_device", "\(device) \(value ?? 0)", key: key)
        }
    }

    /// The number of the whole disk that holds the path: rates are the disk's, not a partition's.
    /// - Throws: `unsupported` for a file system without a disk of its own (tmpfs, network).
    func device() throws -> String {
        var status = stat()
        guard stat(path, &status) == 0 else { throw EngineError.system(errno, "look at \(path)") }
        let number = status.st_mode & S_IFMT == S_IFBLK ? UInt64(status.st_rdev) : UInt64(status.st_dev)
        let device = "\(isle_major(number)):\(isle_minor(number))"
        let sysfs = "/sys/dev/block/\(device)"
        guard access(sysfs, F_OK) == 0 else {
            throw EngineError(
                .unsupported, "limits.read and limits.write: what holds \(path) is no disk whose rate can be limited",
                hint: "take them from the device")
        }
        guard access(sysfs + "/partition", F_OK) == 0 else { return device }
        let whole = String(decoding: try readSmallFile(sysfs + "/../dev"), as: UTF8.self)
        return whole.filter { !$0.isWhitespace }
    }
}

extension Limits {
    /// The settings of all rates; of two on one disk the lower one counts.
    func diskSettings(unified: Bool) throws -> [CgroupSetting] {
        var byDevice: [String: DiskRate] = [:]
        for rate in diskRates ?? [] {
            let device = try rate.device()
            guard let other = byDevice[device] else {
                byDevice[device] = rate
                continue
            }
            func lower(_ one: Int64?, _ two: Int64?) -> Int64? { [one, two].compactMap { $0 }.min() }
            byDevice[device] = DiskRate(
                path: rate.path, readBytes: lower(rate.readBytes, other.readBytes),
                writeBytes: lower(rate.writeBytes, other.writeBytes),
                readOperations: lower(rate.readOperations, other.readOperations),
                writeOperations: lower(rate.writeOperations, other.writeOperations))
        }
        return byDevice.sorted { $0.key < $1.key }.flatMap { $0.value.settings(device: $0.key, unified: unified) }
    }
}
