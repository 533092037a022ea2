// The first program of a machine that Isle boots with its own kernel, and the agent that stays beside the guest's init.

import CHost

if guest_pid() == 1 {
    Boot().run()
} else if readFile("/proc/self/cmdline") == [UInt8](agentName.utf8) + [0] {
    runAgent(port: agentPort)
} else {
    say("isle-init is the first process of a machine and does nothing elsewhere")
    guest_exit(2)
}
