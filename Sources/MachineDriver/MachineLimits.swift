import DriverKit
import LinuxHost
import Model
import QMP

/// Memory by the balloon, downward from the memory that the machine was started with; processors by adding and removing
/// them; their time by the control group of QEMU.
struct MachineLimits: LimitsFacet {
    let machine: MachineHandle

    /// What the control group of QEMU enforces. Memory and number of processors are the guest's own sizes; QEMU's own
    /// memory comes on top.
    static func group(_ limits: Limits) -> Limits {
        Limits(cpuQuota: limits.cpuQuota, cpuSharePercent: limits.cpuSharePercent)
    }

    func apply(_ limits: Limits) async throws {
        let memory = limits.memory ?? MachineDriver.defaultMemory
        guard memory <= machine.record.memory else {
            throw EngineError(
                .unsupported,
                "limits.memory of machine \(machine.id) cannot grow over the \(machine.record.memory) bytes it was "
                    + "started with", hint: "restart it")
        }
        if limits.cpuSet == nil {
            try await MachineProcessors(machine: machine).set(limits.cpuCount ?? MachineDriver.defaultProcessors)
        }
        try await machine.qmp().execute("balloon", ["value": .integer(memory)])
        try machine.cgroups?.find(machine.id.raw)?.apply(MachineLimits.group(limits))
        if let pid = await machine.pid {
            if let set = limits.cpuSet { try Affinity.apply(set, to: pid) } else { try Affinity.release(pid) }
        }
    }
}
