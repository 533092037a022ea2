import DriverKit
import FoundationEssentials
import Glibc
import Model

/// What a device of type `usb` or `gpu` asks of the host, and how it is found: by what the kernel tells in /sys
/// (sysfs(5)).
struct HardwareQuery: Sendable, Hashable {
    var device: String
    var isUSB: Bool
    /// `vendorid`, `productid`, and `busnum`, `devnum` of USB, `id`, `pci` of a card.
    var wanted: [String: String] = [:]
    var mode: UInt32 = 0o660
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    /// Without a match the start fails.
    var isRequired: Bool

    init(_ reader: inout KeyReader, isUSB: Bool) throws {
        device = reader.device
        self.isUSB = isUSB
        isRequired = !isUSB
        for key in ["vendorid", "productid"] {
            guard let text = reader.take(key) else { continue }
            guard UInt16(text, radix: 16) != nil else {
                throw reader.error(key, text, "up to four hexadecimal digits")
            }
            wanted[key] = String(repeating: "0", count: max(0, 4 - text.count)) + text.lowercased()
        }
        if isUSB {
            for key in ["busnum", "devnum"] { wanted[key] = try reader.number(key).map { String($0) } }
            isRequired = try reader.bool("required")
        } else {
            if let kind = reader.take("gputype"), kind != "physical" {
                throw reader.error("gputype", kind, "'physical': parts of a card are not offered")
            }
            wanted["id"] = try reader.number("id").map { String($0) }
            wanted["pci"] = reader.take("pci")
        }
        if let text = reader.take("mode") {
            guard let bits = UInt32(text, radix: 8), bits <= 0o777 else { throw reader.error("mode", text, "as 0660") }
            mode = bits
        }
        uid = try reader.number("uid") ?? 0
        gid = try reader.number("gid") ?? 0
    }

    /// The device files of what fits.
    /// - Throws: `notFound` if nothing does and it is required.
    func nodes(sysfs: String = "/sys", files: String = "/dev") throws -> [DeviceNode] {
        let found = isUSB ? usb(sysfs, files) : cards(sysfs, files)
        guard found.isEmpty, isRequired else { return found.sorted { $0.target < $1.target } }
        throw EngineError(
            .notFound,
            "no \(isUSB ? "USB device" : "graphics card") of the host is what device \(Names.quoted(device)) asks for",
            hint: isUSB ? "set required=false to start without it" : "ls /sys/class/drm shows those that there are")
    }

    private func usb(_ sysfs: String, _ files: String) -> [DeviceNode] {
        let base = "\(sysfs)/bus/usb/devices"
        return names(base).compactMap { entry in
            func fact(_ file: String) -> String? { text("\(base)/\(entry)/\(file)") }
            guard let bus = fact("busnum").flatMap({ Int($0) }), let number = fact("devnum").flatMap({ Int($0) }),
                fits([
                    "vendorid": fact("idVendor"), "productid": fact("idProduct"), "busnum": String(bus),
                    "devnum": String(number),
                ])
            else { return nil }
            return node(files, "bus/usb/\(padded(bus))/\(padded(number))")
        }
    }

    private func cards(_ sysfs: String, _ files: String) -> [DeviceNode] {
        let base = "\(sysfs)/class/drm"
        return names(base).filter { $0.hasPrefix("card") && !$0.contains("-") }.flatMap { card -> [DeviceNode] in
            func fact(_ file: String) -> String? {
                text("\(base)/\(card)/device/\(file)").map { String($0.dropFirst(2)) }
            }
            let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(base)/\(card)/device")) ?? ""
            let address = link.split(separator: "/").last.map(String.init)
            guard
                fits([
                    "vendorid": fact("vendor"), "productid": fact("device"), "id": String(card.dropFirst(4)),
                    "pci": address,
                ])
            else { return [] }
            return names("\(base)/\(card)/device/drm").compactMap { node(files, "dri/\($0)") }
        }
    }

    private func fits(_ facts: [String: String?]) -> Bool {
        wanted.allSatisfy { key, value in (facts[key] ?? nil) == value }
    }

    private func node(_ files: String, _ name: String) -> DeviceNode? {
        var status = stat()
        guard stat("\(files)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return nil }
        let (major, minor) = Devices.numbers(UInt64(status.st_rdev))
        return DeviceNode(
            source: "\(files)/\(name)", target: "/dev/\(name)", isBlock: false, major: major, minor: minor, mode: mode,
            uid: uid, gid: gid)
    }

    // A host without such hardware has no such folders and files.

    private func names(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    private func text(_ path: String) -> String? {
        (try? Data(contentsOf: URL(filePath: path))).map {
            String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }
        }
    }

    private func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 3 - text.count)) + text
    }
}
