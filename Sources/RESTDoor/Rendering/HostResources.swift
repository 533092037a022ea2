import FoundationEssentials
import Glibc
import WireTypes

/// What the host is made of, from /proc and /sys (proc(5), sysfs(5)).
enum HostResources {
    static func read() -> API.Resources {
        var resources = API.Resources()
        resources.cpu = processors()
        resources.memory = memory()
        resources.system = system()
        resources.network = network()
        resources.gpu = graphics()
        resources.storage = storage()
        resources.usb = usb()
        resources.pci = pci()
        return resources
    }

    // MARK: processors and memory

    private static func processors() -> API.Resources.CPU {
        var cpu = API.Resources.CPU()
        var name = utsname()
        uname(&name)
        cpu.architecture = withUnsafeBytes(of: &name.machine) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let folder = "/sys/devices/system/cpu"
        let ids = names(in: folder).filter { $0.hasPrefix("cpu") }.compactMap { Int($0.dropFirst(3)) }.sorted()
        var sockets: [Int: [Int: [API.Resources.Thread]]] = [:]
        for id in ids {
            let topology = "\(folder)/cpu\(id)/topology"
            let socket = Int(KernelFile.number(topology + "/physical_package_id") ?? 0)
            let core = Int(KernelFile.number(topology + "/core_id") ?? Int64(id))
            var thread = API.Resources.Thread()
            thread.id = id
            thread.thread = sockets[socket]?[core]?.count ?? 0
            thread.online = KernelFile.number("\(folder)/cpu\(id)/online") ?? 1 == 1
            sockets[socket, default: [:]][core, default: []].append(thread)
        }
        cpu.total = ids.count
        cpu.sockets = sockets.sorted { $0.key < $1.key }.map { number, cores in
            var socket = API.Resources.Socket()
            socket.socket = number
            socket.name = field("model name")
            socket.vendor = field("vendor_id")
            socket.cores = cores.sorted { $0.key < $1.key }.map { number, threads in
                var core = API.Resources.Core()
                core.core = number
                core.threads = threads
                return core
            }
            return socket
        }
        return cpu
    }

    /// Of the first processor in /proc/cpuinfo.
    private static func field(_ name: String) -> String {
        for line in KernelFile.lines("/proc/cpuinfo") where line.hasPrefix(name) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return ""
    }

    private static func memory() -> API.Resources.Memory {
        var values: [String: Int64] = [:]
        for line in KernelFile.lines("/proc/meminfo") {
            let words = line.split(separator: " ")
            if words.count >= 2, let number = Int64(words[1]) { values[String(words[0].dropLast())] = number * 1024 }
        }
        var memory = API.Resources.Memory()
        memory.total = values["MemTotal"] ?? 0
        memory.used = memory.total - (values["MemAvailable"] ?? 0)
        return memory
    }

    private static func system() -> API.Resources.System {
        let folder = "/sys/class/dmi/id"
        var system = API.Resources.System()
        system.uuid = KernelFile.text(folder + "/product_uuid") ?? ""
        system.vendor = KernelFile.text(folder + "/sys_vendor") ?? ""
        system.product = KernelFile.text(folder + "/product_name") ?? ""
        let isVirtual = KernelFile.lines("/proc/cpuinfo").contains {
            $0.hasPrefix("flags") && $0.split(separator: " ").contains("hypervisor")
        }
        system.type = isVirtual ? "virtual-machine" : "physical"
        return system
    }

    // MARK: devices

    private static func network() -> API.Resources.Cards {
        var cards = API.Resources.Cards()
        for name in names(in: "/sys/class/net") {
            let folder = "/sys/class/net/\(name)"
            // Interfaces without a device are made by software.
            guard access(folder + "/device", F_OK) == 0 else { continue }
            var card = card(folder + "/device")
            var port = API.Resources.Port()
            port.id = name
            port.address = KernelFile.text(folder + "/address") ?? ""
            port.linkDetected = KernelFile.number(folder + "/carrier") == 1
            port.linkSpeed = Int(max(0, KernelFile.number(folder + "/speed") ?? 0))
            card.ports = [port]
            cards.cards.append(card)
        }
        cards.total = cards.cards.count
        return cards
    }

    private static func graphics() -> API.Resources.Cards {
        var cards = API.Resources.Cards()
        cards.cards = names(in: "/sys/class/drm").filter { $0.hasPrefix("card") && !$0.contains("-") }
            .map { card("/sys/class/drm/\($0)/device") }
        cards.total = cards.cards.count
        return cards
    }

    private static func card(_ folder: String) -> API.Resources.Card {
        var card = API.Resources.Card()
        card.driver = link(folder + "/driver")
        let target = link(folder)
        card.pciAddress = target.contains(":") ? target : ""
        card.vendorID = KernelFile.hexadecimal(folder + "/vendor")
        card.productID = KernelFile.hexadecimal(folder + "/device")
        card.numaNode = Int(max(0, KernelFile.number(folder + "/numa_node") ?? 0))
        return card
    }

    private static func storage() -> API.Resources.Storage {
        var storage = API.Resources.Storage()
        for name in names(in: "/sys/block") {
            let folder = "/sys/block/\(name)"
            guard access(folder + "/device", F_OK) == 0 else { continue }
            var disk = API.Resources.Disk()
            disk.id = name
            disk.device = KernelFile.text(folder + "/dev") ?? ""
            disk.model = KernelFile.text(folder + "/device/model") ?? ""
            disk.type = link(folder + "/device/subsystem")
            disk.readOnly = KernelFile.number(folder + "/ro") == 1
            disk.removable = KernelFile.number(folder + "/removable") == 1
            // In sectors of 512 bytes, whatever those of the device are.
            disk.size = (KernelFile.number(folder + "/size") ?? 0) * 512
            for entry in names(in: folder) {
                guard let number = KernelFile.number("\(folder)/\(entry)/partition") else { continue }
                var partition = API.Resources.Partition()
                partition.id = entry
                partition.partition = Int(number)
                partition.device = KernelFile.text("\(folder)/\(entry)/dev") ?? ""
                partition.readOnly = KernelFile.number("\(folder)/\(entry)/ro") == 1
                partition.size = (KernelFile.number("\(folder)/\(entry)/size") ?? 0) * 512
                disk.partitions.append(partition)
            }
            storage.disks.append(disk)
        }
        storage.total = storage.disks.count
        return storage
    }

    private static func pci() -> API.Resources.Devices {
        var devices = API.Resources.Devices()
        devices.devices = names(in: "/sys/bus/pci/devices").map { name in
            let folder = "/sys/bus/pci/devices/\(name)"
            var device = API.Resources.Device()
            device.pciAddress = name
            device.driver = link(folder + "/driver")
            device.vendorID = KernelFile.hexadecimal(folder + "/vendor")
            device.productID = KernelFile.hexadecimal(folder + "/device")
            return device
        }
        devices.total = devices.devices.count
        return devices
    }

    private static func usb() -> API.Resources.Devices {
        var devices = API.Resources.Devices()
        // Names with a colon are interfaces of devices.
        for name in names(in: "/sys/bus/usb/devices") where !name.contains(":") {
            let folder = "/sys/bus/usb/devices/\(name)"
            var device = API.Resources.Device()
            device.driver = link(folder + "/driver")
            device.vendorID = KernelFile.text(folder + "/idVendor") ?? ""
            device.productID = KernelFile.text(folder + "/idProduct") ?? ""
            device.vendor = KernelFile.text(folder + "/manufacturer") ?? ""
            device.product = KernelFile.text(folder + "/product") ?? ""
            device.busAddress = KernelFile.number(folder + "/busnum").map { Int($0) }
            device.deviceAddress = KernelFile.number(folder + "/devnum").map { Int($0) }
            devices.devices.append(device)
        }
        devices.total = devices.devices.count
        return devices
    }

    private static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// The last part of what a symbolic link leads to; empty if it is none.
    private static func link(_ path: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return "" }
        let target = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return target.split(separator: "/").last.map(String.init) ?? ""
    }
}
