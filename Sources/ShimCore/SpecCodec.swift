// The bytes of a ShimSpec and a ShimExec: a magic number with the layout's version, then the fields in order. Shim
// and daemon may be of different releases for as long as an instance runs, but these values only pass when a shim is
// spawned (same release) or over a socket whose first byte tells the version.

private let specMagic: UInt32 = 0x4953_0003
private let execMagic: UInt32 = 0x4958_0001

extension ShimSpec {
    public func encoded() -> [UInt8] {
        var out = ByteWriter()
        out.put(specMagic)
        out.put(directory)
        out.put(logPath)
        out.put(logMaxSize)
        out.put(UInt32(clamping: logFiles))
        out.put(terminal)
        out.put(openStdin)
        out.put(stdinOnce)
        out.put(columns)
        out.put(rows)
        out.put(identity != nil)
        if let identity {
            out.put(identity.user)
            out.put(identity.group)
            out.put(identity.users)
            out.put(identity.groups)
        }
        out.put(newNetwork)
        out.put(joins.map { $0.name })
        out.put(joins.map { $0.path })
        out.put(UInt32(mounts.count))
        for mount in mounts { mount.encode(&out) }
        out.put(cgroups)
        switch launch {
        case .runtime(let arguments, let pidFile):
            out.put(UInt8(0))
            out.put(arguments)
            out.put(pidFile)
        case .process(let process):
            out.put(UInt8(1))
            process.encode(&out)
        }
        return out.bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        var input = ByteReader(bytes)
        guard try input.uint32() == specMagic else { throw DecodingFailure.malformed }
        directory = try input.string()
        logPath = try input.string()
        logMaxSize = try input.int64()
        logFiles = Int(try input.uint32())
        terminal = try input.bool()
        openStdin = try input.bool()
        stdinOnce = try input.bool()
        columns = try input.uint16()
        rows = try input.uint16()
        identity =
            try input.bool()
            ? Identity(
                user: try input.uint32(), group: try input.uint32(), users: try input.string(),
                groups: try input.string()) : nil
        newNetwork = try input.bool()
        let names = try input.strings()
        let paths = try input.strings()
        guard names.count == paths.count else { throw DecodingFailure.malformed }
        joins = []
        for (index, name) in names.enumerated() { joins.append(Join(name: name, path: paths[index])) }
        let count = try input.count(ofItemsOf: 5)
        mounts = []
        for _ in 0..<count { mounts.append(try ShimMount(&input)) }
        cgroups = try input.strings()
        switch try input.uint8() {
        case 0: launch = .runtime(arguments: try input.strings(), pidFile: try input.string())
        case 1: launch = .process(try ShimProcess(&input))
        default: throw DecodingFailure.malformed
        }
        try input.finish()
    }
}

extension ShimMount {
    func encode(_ out: inout ByteWriter) {
        switch self {
        case .idmap(let source, let target):
            out.put(UInt8(0))
            out.put(source)
            out.put(target)
        case .bind(let source, let target, let readOnly, let shifted):
            out.put(UInt8(1))
            out.put(source)
            out.put(target)
            out.put(readOnly)
            out.put(shifted)
        case .overlay(let lower, let upper, let work, let target, let volatile):
            out.put(UInt8(2))
            out.put(lower)
            out.put(upper)
            out.put(work)
            out.put(target)
            out.put(volatile)
        case .emptyFile(let target):
            out.put(UInt8(3))
            out.put(target)
        case .tmpfs(let target, let options):
            out.put(UInt8(4))
            out.put(target)
            out.put(options)
        case .deviceFolder(let target):
            out.put(UInt8(5))
            out.put(target)
        case .device(let target, let isBlock, let major, let minor, let mode, let uid, let gid):
            out.put(UInt8(6))
            out.put(target)
            out.put(isBlock)
            for number in [major, minor, mode, uid, gid] { out.put(number) }
        case .bindFrom(let process, let source, let target):
            out.put(UInt8(7))
            out.put(process)
            out.put(source)
            out.put(target)
        }
    }

    init(_ input: inout ByteReader) throws(DecodingFailure) {
        switch try input.uint8() {
        case 0: self = .idmap(source: try input.string(), target: try input.string())
        case 1:
            self = .bind(
                source: try input.string(), target: try input.string(), readOnly: try input.bool(),
                shifted: try input.bool())
        case 2:
            self = .overlay(
                lower: try input.strings(), upper: try input.string(), work: try input.string(),
                target: try input.string(), volatile: try input.bool())
        case 3: self = .emptyFile(target: try input.string())
        case 4: self = .tmpfs(target: try input.string(), options: try input.string())
        case 5: self = .deviceFolder(target: try input.string())
        case 6:
            self = .device(
                target: try input.string(), isBlock: try input.bool(), major: try input.uint32(),
                minor: try input.uint32(), mode: try input.uint32(), uid: try input.uint32(), gid: try input.uint32())
        case 7:
            self = .bindFrom(
                process: try input.uint32(), source: try input.string(), target: try input.string())
        default: throw DecodingFailure.malformed
        }
    }
}

extension ShimProcess {
    func encode(_ out: inout ByteWriter) {
        out.put(arguments)
        out.put(environment)
        out.put(workingDirectory)
        out.put(uid)
        out.put(gid)
        out.put(groups)
        out.put(sandbox != nil)
        sandbox?.encode(&out)
        out.put(UInt32(descriptors.count))
        for descriptor in descriptors {
            out.put(descriptor.number)
            out.put(descriptor.kind.rawValue)
            out.put(descriptor.name)
        }
    }

    init(_ input: inout ByteReader) throws(DecodingFailure) {
        arguments = try input.strings()
        environment = try input.strings()
        workingDirectory = try input.string()
        uid = try input.uint32()
        gid = try input.uint32()
        groups = try input.uint32s()
        sandbox = try input.bool() ? try Sandbox(&input) : nil
        descriptors = []
        for _ in 0..<(try input.count(ofItemsOf: 9)) {
            let number = try input.int32()
            guard let kind = Descriptor.Kind(rawValue: try input.uint8()) else { throw DecodingFailure.malformed }
            descriptors.append(Descriptor(number: number, kind: kind, name: try input.string()))
        }
    }
}

extension Sandbox {
    func encode(_ out: inout ByteWriter) {
        out.put(hostname)
        out.put(UInt32(binds.count))
        for bind in binds {
            out.put(bind.source)
            out.put(bind.target)
            out.put(bind.readOnly)
            out.put(bind.idMapped)
            out.put(bind.executable)
        }
        out.put(UInt32(limits.count))
        for limit in limits {
            out.put(limit.resource)
            out.put(limit.value)
        }
        out.put(seccompFile)
        out.put(rootKiB)
        out.put(devices)
    }

    init(_ input: inout ByteReader) throws(DecodingFailure) {
        hostname = try input.string()
        binds = []
        for _ in 0..<(try input.count(ofItemsOf: 11)) {
            binds.append(
                Bind(
                    source: try input.string(), target: try input.string(), readOnly: try input.bool(),
                    idMapped: try input.bool(), executable: try input.bool()))
        }
        limits = []
        for _ in 0..<(try input.count(ofItemsOf: 12)) {
            limits.append(Limit(resource: try input.int32(), value: try input.uint64()))
        }
        seccompFile = try input.string()
        rootKiB = try input.uint32()
        devices = try input.strings()
    }
}

extension ShimExec {
    public func encoded() -> [UInt8] {
        var out = ByteWriter()
        out.put(execMagic)
        out.put(arguments)
        out.put(environment)
        out.put(terminal)
        out.put(openStdin)
        out.put(columns)
        out.put(rows)
        out.put(cgroups)
        return out.bytes
    }

    public init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        var input = ByteReader(bytes)
        guard try input.uint32() == execMagic else { throw DecodingFailure.malformed }
        arguments = try input.strings()
        environment = try input.strings()
        terminal = try input.bool()
        openStdin = try input.bool()
        columns = try input.uint16()
        rows = try input.uint16()
        cgroups = try input.strings()
        try input.finish()
    }
}
