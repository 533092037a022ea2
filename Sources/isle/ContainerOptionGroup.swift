import ArgumentParser
import CLIKit

/// Options of run, launch and create that docker run has for containers.
struct ContainerOptionGroup: ParsableArguments {
    @Option(help: ArgumentHelp("Resource limit, as nofile=1024:2048.", valueName: "name=soft[:hard]"))
    var ulimit: [String] = []
    @Option(help: ArgumentHelp("Kernel setting of its own namespaces.", valueName: "key=value")) var sysctl: [String] =
        []
    @Option(help: ArgumentHelp("Empty filesystem in memory.", valueName: "path[:options]")) var tmpfs: [String] = []
    @Option(help: ArgumentHelp("Size of /dev/shm.", valueName: "size")) var shmSize: String?
    @Option(help: ArgumentHelp("Add a line to /etc/hosts.", valueName: "name:address")) var addHost: [String] = []
    @Option(help: ArgumentHelp("Name server.", valueName: "address")) var dns: [String] = []
    @Option(help: ArgumentHelp("Domain to search names in.", valueName: "domain")) var dnsSearch: [String] = []
    @Option(
        name: [.customLong("dns-option"), .customLong("dns-opt")],
        help: ArgumentHelp("Option of resolv.conf.", valueName: "word"))
    var dnsOption: [String] = []
    @Option(help: ArgumentHelp("NIS domain name inside.", valueName: "name")) var domainname: String?
    @Flag(name: .customLong("init"), help: "Run a small init that reaps and passes signals on.") var hasInit = false
    @Option(help: ArgumentHelp("Further group of the program.", valueName: "group")) var groupAdd: [String] = []
    @Option(help: ArgumentHelp("private, or host: ids are the host's.", valueName: "mode")) var userns: String?
    @Option(help: ArgumentHelp("private, host or container:NAME.", valueName: "mode")) var pid: String?
    @Option(help: ArgumentHelp("private, shareable, host or container:NAME.", valueName: "mode")) var ipc: String?
    @Option(help: ArgumentHelp("private or host.", valueName: "mode")) var uts: String?
    @Option(help: ArgumentHelp("How soon it is killed for want of memory.", valueName: "number")) var oomScoreAdj:
        String?
    @Option(help: ArgumentHelp("Memory and swap together; -1 without bound.", valueName: "size")) var memorySwap:
        String?
    @Option(help: ArgumentHelp("Memory that is kept for it.", valueName: "size")) var memoryReservation: String?
    @Option(help: ArgumentHelp("How gladly it is swapped out, 0 to 100.", valueName: "number"))
    var memorySwappiness: String?
    @Option(name: [.customShort("C"), .long], help: ArgumentHelp("Weight of its processor time.", valueName: "number"))
    var cpuShares: String?
    @Option(help: ArgumentHelp("Processors it may use.", valueName: "set")) var cpusetCpus: String?
    @Option(help: ArgumentHelp("Memory nodes it may use.", valueName: "set")) var cpusetMems: String?
    @Option(help: ArgumentHelp("Period of the quota.", valueName: "microseconds")) var cpuPeriod: String?
    @Option(help: ArgumentHelp("Processor time in each period.", valueName: "microseconds")) var cpuQuota: String?
    @Option(help: ArgumentHelp("Weight of its disk traffic.", valueName: "number")) var blkioWeight: String?
    @Option(help: ArgumentHelp("Command that tells whether it is well.", valueName: "command")) var healthCmd: String?
    @Option(help: ArgumentHelp("Time between tests.", valueName: "time")) var healthInterval: String?
    @Option(help: ArgumentHelp("Time that a test may take.", valueName: "time")) var healthTimeout: String?
    @Option(help: ArgumentHelp("Time in which failures do not count.", valueName: "time"))
    var healthStartPeriod: String?
    @Option(help: ArgumentHelp("Time between tests meanwhile.", valueName: "time")) var healthStartInterval: String?
    @Option(help: ArgumentHelp("Failures that make it unhealthy.", valueName: "number")) var healthRetries: String?
    @Option(help: ArgumentHelp("none, restart, stop or kill it then.", valueName: "action"))
    var healthOnFailure: String?
    @Flag(help: "Do without the image's health check.") var noHealthcheck = false
    @Option(help: ArgumentHelp("json-file, local or none.", valueName: "name")) var logDriver: String?
    @Option(help: ArgumentHelp("max-size=SIZE or max-file=N.", valueName: "key=value")) var logOpt: [String] = []
    @Option(
        name: [.customLong("network-alias"), .customLong("net-alias")],
        help: ArgumentHelp("Further name on the network.", valueName: "name"))
    var networkAlias: [String] = []
    @Option(help: ArgumentHelp("IPv4 address.", valueName: "address")) var ip: String?
    @Option(help: ArgumentHelp("IPv6 address.", valueName: "address")) var ip6: String?
    @Option(help: ArgumentHelp("Hardware address.", valueName: "address")) var macAddress: String?
    // Said clearly rather than ignored.
    @Option(help: .hidden) var cgroupParent: String?

    func validate() throws {
        if cgroupParent != nil {
            throw ValidationError("--cgroup-parent: Isle keeps the control groups of instances below its own")
        }
    }

    var flags: ContainerFlags {
        var flags = ContainerFlags()
        flags.ulimits = ulimit
        flags.sysctls = sysctl
        flags.tmpfs = tmpfs
        flags.sharedMemory = shmSize
        flags.hosts = addHost
        flags.nameServers = dns
        flags.searchDomains = dnsSearch
        flags.resolverOptions = dnsOption
        flags.domainName = domainname
        flags.hasInit = hasInit
        flags.groups = groupAdd
        flags.userNamespace = userns
        flags.processes = pid
        flags.ipc = ipc
        flags.hostNames = uts
        flags.outOfMemoryScore = oomScoreAdj
        flags.swap = memorySwap
        flags.reservation = memoryReservation
        flags.swappiness = memorySwappiness
        flags.cpuShares = cpuShares
        flags.cpuSet = cpusetCpus
        flags.memoryNodes = cpusetMems
        flags.cpuPeriod = cpuPeriod
        flags.cpuQuota = cpuQuota
        flags.diskWeight = blkioWeight
        flags.healthCommand = healthCmd
        flags.healthInterval = healthInterval
        flags.healthTimeout = healthTimeout
        flags.healthStartPeriod = healthStartPeriod
        flags.healthStartInterval = healthStartInterval
        flags.healthRetries = healthRetries
        flags.healthAction = healthOnFailure
        flags.noHealthCheck = noHealthcheck
        flags.logDriver = logDriver
        flags.logOptions = logOpt
        flags.aliases = networkAlias
        flags.ipv4 = ip
        flags.ipv6 = ip6
        flags.mac = macAddress
        return flags
    }
}
