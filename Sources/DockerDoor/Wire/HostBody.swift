import Model

/// `HostConfig`: what a container gets of the host.
struct HostBody: Sendable {
    var binds: [String]
    var mounts: [MountBody]
    var tmpfs: [String: String]
    var networkMode: String
    var portBindings: [(port: String, bindings: [PortBindingBody])]
    var publishAllPorts: Bool
    var restart: RestartBody
    var autoRemove: Bool
    var privileged: Bool
    var capAdd: [String]
    var capDrop: [String]
    var securityOpt: [String]
    var readonlyRootfs: Bool
    var usernsMode: String
    var pidMode: String
    var ipcMode: String
    var utsMode: String
    var cgroupnsMode: String
    var extraHosts: [String]
    var dns: [String]
    var dnsSearch: [String]
    var dnsOptions: [String]
    var links: [String]
    var volumesFrom: [String]
    /// Of volumes that the request makes.
    var volumeDriver: String?
    var groupAdd: [String]
    var shmSize: Int64?
    var sysctls: [String: String]
    var ulimits: [(name: String, soft: Int64, hard: Int64)]
    var devices: [(host: String, container: String, permissions: String)]
    var usesInit: Bool
    var oomScoreAdj: Int64?
    var runtime: String
    var logType: String
    var logOptions: [String: String]
    var resources: ResourcesBody
    /// Rows and columns of the terminal.
    var consoleSize: (rows: Int64, columns: Int64)?
    /// Fields that are set and that one host without further parts cannot honour.
    var unsupported: [String]

    init(_ fields: Fields) throws {
        binds = try fields.strings("Binds")
        mounts = try fields.objects("Mounts").map(MountBody.init)
        tmpfs = try fields.texts("Tmpfs")
        networkMode = try fields.text("NetworkMode") ?? "default"
        portBindings = try fields.lists("PortBindings").map { ($0.key, try $0.fields.map(PortBindingBody.init)) }
        publishAllPorts = try fields.bool("PublishAllPorts")
        restart = try RestartBody(fields.object("RestartPolicy"))
        autoRemove = try fields.bool("AutoRemove")
        privileged = try fields.bool("Privileged")
        capAdd = try fields.command("CapAdd") ?? []
        capDrop = try fields.command("CapDrop") ?? []
        securityOpt = try fields.strings("SecurityOpt")
        readonlyRootfs = try fields.bool("ReadonlyRootfs")
        usernsMode = try fields.string("UsernsMode") ?? ""
        pidMode = try fields.string("PidMode") ?? ""
        ipcMode = try fields.string("IpcMode") ?? ""
        utsMode = try fields.string("UTSMode") ?? ""
        cgroupnsMode = try fields.string("CgroupnsMode") ?? ""
        extraHosts = try fields.strings("ExtraHosts")
        dns = try fields.strings("Dns")
        dnsSearch = try fields.strings("DnsSearch")
        dnsOptions = try fields.strings("DnsOptions")
        links = try fields.strings("Links")
        volumesFrom = try fields.strings("VolumesFrom")
        volumeDriver = try fields.text("VolumeDriver")
        groupAdd = try fields.strings("GroupAdd")
        shmSize = try fields.amount("ShmSize")
        sysctls = try fields.texts("Sysctls")
        ulimits = try fields.objects("Ulimits").map { limit in
            guard let name = try limit.text("Name") else {
                throw EngineError(.invalidArgument, "a ulimit has no name")
            }
            return (name, try limit.integer("Soft") ?? 0, try limit.integer("Hard") ?? 0)
        }
        devices = try fields.objects("Devices").map { device in
            guard let host = try device.text("PathOnHost") else {
                throw EngineError(.invalidArgument, "a device has no PathOnHost")
            }
            return (host, try device.text("PathInContainer") ?? host, try device.text("CgroupPermissions") ?? "rwm")
        }
        usesInit = try fields.bool("Init")
        oomScoreAdj = try fields.amount("OomScoreAdj")
        runtime = try fields.string("Runtime") ?? ""
        let log = try fields.object("LogConfig")
        logType = try log.string("Type") ?? ""
        logOptions = try log.texts("Config")
        resources = try ResourcesBody(fields)
        if case .array(let size) = fields.json["ConsoleSize"], size.count == 2, case .integer(let rows) = size[0],
            case .integer(let columns) = size[1], (1...65_535).contains(rows), (1...65_535).contains(columns)
        {
            consoleSize = (rows, columns)
        }
        unsupported = try Self.unsupported(fields)
    }

    /// What is asked for and would be quietly missing.
    private static func unsupported(_ fields: Fields) throws -> [String] {
        var found: [String] = []
        for key in ["DeviceRequests", "DeviceCgroupRules"] {
            if !fields.json[key].elements.isEmpty { found.append(key) }
        }
        for key in ["Cgroup", "CgroupParent"] where try fields.text(key) != nil { found.append(key) }
        if !(try fields.texts("StorageOpt")).isEmpty { found.append("StorageOpt") }
        if let isolation = try fields.text("Isolation"), isolation != "default" { found.append("Isolation") }
        return found
    }
}

/// Limits, as create and update have them.
struct ResourcesBody: Sendable {
    /// Bytes.
    var memory: Int64?
    var nanoCPUs: Int64?
    var cpuQuota: Int64?
    var cpuPeriod: Int64?
    var cpuShares: Int64?
    var cpusetCpus: String?
    var pidsLimit: Int64?
    var memoryReservation: Int64?
    /// Memory and swap together.
    var memorySwap: Int64?
    var swappiness: Int64?
    var cpusetMems: String?
    var blkioWeight: Int64?
    /// Fields that are set and take no effect here: said in `Warnings`.
    var ignored: [String] = []

    init(_ fields: Fields) throws {
        memory = try fields.amount("Memory")
        nanoCPUs = try fields.amount("NanoCpus")
        cpuQuota = try fields.amount("CpuQuota")
        cpuPeriod = try fields.amount("CpuPeriod")
        cpuShares = try fields.amount("CpuShares")
        cpusetCpus = try fields.text("CpusetCpus")
        pidsLimit = try fields.amount("PidsLimit")
        memoryReservation = try fields.amount("MemoryReservation")
        memorySwap = try fields.amount("MemorySwap")
        swappiness = try fields.integer("MemorySwappiness")
        cpusetMems = try fields.text("CpusetMems")
        blkioWeight = try fields.amount("BlkioWeight")
        for key in ["KernelMemory", "KernelMemoryTCP", "CpuRealtimePeriod", "CpuRealtimeRuntime"]
        where try fields.amount(key) != nil { ignored.append(key) }
        if try fields.bool("OomKillDisable") { ignored.append("OomKillDisable") }
        for key in [
            "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
            "BlkioDeviceWriteIOps",
        ] where !(try fields.objects(key)).isEmpty { ignored.append(key) }
        if let memory, memory < 6 << 20 {
            throw EngineError(.invalidArgument, "Minimum memory limit allowed is 6MB")
        }
    }
}

/// `Mounts`: the long form of a mount.
struct MountBody: Sendable {
    var type: String
    var source: String?
    var target: String
    var readOnly: Bool
    var createMountpoint: Bool
    var tmpfsSize: Int64?
    var tmpfsMode: Int64?
    var volumeLabels: [String: String]
    var subpath: String?
    var noCopy: Bool

    init(_ fields: Fields) throws {
        type = try fields.text("Type") ?? "volume"
        source = try fields.text("Source")
        guard let target = try fields.text("Target") else {
            throw EngineError(
                .invalidArgument, "invalid mount config for type \"\(type)\": field Target must not be empty")
        }
        self.target = target
        readOnly = try fields.bool("ReadOnly")
        createMountpoint = try fields.object("BindOptions").bool("CreateMountpoint")
        let tmpfs = try fields.object("TmpfsOptions")
        tmpfsSize = try tmpfs.amount("SizeBytes")
        tmpfsMode = try tmpfs.amount("Mode")
        let volume = try fields.object("VolumeOptions")
        volumeLabels = try volume.texts("Labels")
        subpath = try volume.text("Subpath")
        noCopy = try volume.bool("NoCopy")
        let driver = try volume.object("DriverConfig").text("Name")
        guard try volume.object("DriverConfig").texts("Options").isEmpty else {
            throw EngineError(
                .unsupported, "VolumeOptions.DriverConfig.Options are not offered with a mount",
                hint: "make the volume with docker volume create --opt")
        }
        guard driver == nil || driver == "local" else {
            throw EngineError(.notFound, "error looking up volume plugin \(driver ?? ""): plugin not found")
        }
    }
}

struct PortBindingBody: Sendable {
    var address: String
    /// A number, a range, or empty: any that is free.
    var port: String

    init(_ fields: Fields) throws {
        address = try fields.string("HostIp") ?? ""
        port = try fields.string("HostPort") ?? ""
    }

    init(address: String, port: String) {
        self.address = address
        self.port = port
    }
}

struct RestartBody: Sendable {
    var name: String
    var retries: Int64

    init(_ fields: Fields) throws {
        name = try fields.string("Name") ?? ""
        retries = try fields.integer("MaximumRetryCount") ?? 0
    }

    /// As the configuration key has it; nil if nothing was said. `invalidArgument` in dockerd's words.
    var policy: String? {
        get throws {
            switch name {
            case "": return nil
            case "on-failure":
                guard retries >= 0 else {
                    throw EngineError(
                        .invalidArgument, "invalid restart policy: maximum retry count cannot be negative")
                }
                return retries == 0 ? "on-failure" : "on-failure:\(retries)"
            case "no", "always", "unless-stopped":
                guard retries == 0 else {
                    throw EngineError(
                        .invalidArgument,
                        "invalid restart policy: maximum retry count can only be used with 'on-failure'")
                }
                return name
            default:
                throw EngineError(
                    .invalidArgument,
                    "invalid restart policy: unknown policy '\(name)'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
                )
            }
        }
    }
}
