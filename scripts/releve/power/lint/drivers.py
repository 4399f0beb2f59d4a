"""Which drivers NUT 2.8.1 has, as Debian 13 packages it, and which options each takes.

Taken from the drivers themselves (`/lib/nut/DRIVER -L`, packages nut-server, nut-snmp, nut-modbus,
nut-xml, nut-ipmi, nut-i2c and nut-powerman-pdu 2.8.1-5+deb13u1). A driver ends at once when its
section in ups.conf has an option that it does not know (drivers/main.c, storeval).
"""

from __future__ import annotations

# What every driver takes in its section, said with these capitals (drivers/main.c, main_arg).
# `maxretry`, `retrydelay`, `maxstartdelay` and `nowait` are for upsdrvctl, before any section: in
# one, the driver refuses to start (tried on 2.8.1).
COMMON = frozenset(
    [
        "allow_killpower",
        "debug_min",
        "desc",
        "driver",
        "group",
        "ignorelb",
        "nolock",
        "pollinterval",
        "port",
        "sddelay",
        "sdorder",
        "synchronous",
        "user",
    ]
)
GLOBAL = frozenset(
    [
        "chroot",
        "debug_min",
        "driverpath",
        "group",
        "maxretry",
        "maxstartdelay",
        "nowait",
        "pollinterval",
        "retrydelay",
        "synchronous",
        "user",
    ]
)
PREFIXES = ("override.", "default.")  # any variable may follow
USB_MATCH = frozenset(
    ["vendor", "product", "serial", "vendorid", "productid", "bus", "busport", "device"]
)
_USB = "allow_duplicates usb_set_altinterface " + " ".join(sorted(USB_MATCH))
_TABLE = """
adelsystem_cbi: dev_slave_id mod_byte_to_s mod_byte_to_us mod_resp_to_s mod_resp_to_us
  ser_baud_rate ser_data_bit ser_parity ser_stop_bit
al175:
apc_modbus: baudrate databits parity porttype response_timeout_ms slaveid stopbits
apcsmart: advorder awd cable cshdelay sdtype ttymode
apcsmart-old: advorder cable sdtype wugrace
apcupsd-ups:
asem: hb lb
bcmxcp: baud_rate shutdown_delay
bcmxcp_usb: baud_rate shutdown_delay
belkin:
belkinunv: dumbterm flash nohang silent wait
bestfcom:
bestfortress: baudrate max_load
bestuferrups:
bestups: ID battvoltmult nombattvolt
blazer_ser: cablepower chargetime idleload norating novendor offdelay ondelay protocol
  runtimecal
blazer_usb: USB chargetime idleload langid_fix norating novendor offdelay ondelay protocol
  runtimecal subdriver
clone: load.off load.on load.status mincharge minruntime offdelay ondelay
clone-outlet: prefix
dummy-ups: mode repeater_disable_strict_start
etapro:
everups:
gamatronic:
generic_modbus: CHRG_addr CHRG_noro CHRG_regtype DISCHRG_addr DISCHRG_noro DISCHRG_regtype
  FSD_addr FSD_noro FSD_pulse_duration FSD_regtype HB_addr HB_noro HB_regtype LB_addr LB_noro
  LB_regtype OB_addr OB_noro OB_regtype OL_addr OL_noro OL_regtype RB_addr RB_noro RB_regtype
  device_mfr device_model mod_byte_to_s mod_byte_to_us mod_resp_to_s mod_resp_to_us rio_slave_id
  ser_baud_rate ser_data_bit ser_parity ser_stop_bit
genericups: BYPASS CP LB OL RB SD mfr model sdtime serial upstype
huawei-ups2000: offdelay ondelay rebootdelay
isbmex:
ivtscd:
liebert: mfr model
liebert-esp2: baudrate
masterguard: CS
metasys:
mge-shut: disable_fix_report_desc lowbatt notification offdelay ondelay onlinedischarge
  onlinedischarge_calibration pollfreq pollonly
mge-utalk: LowBatt OffDelay OnDelay oldmac
microdowell: ups.delay.shutdown ups.delay.start
microsol-apc: battext daysoff daysweek houroff houron prgshut
netxml-ups: do_convert_deci login password shutdown_duration shutdown_timer subscribe timeout
nut-ipmipsu:
nutdrv_atcl_usb: vendor
nutdrv_qx: USB advanced_eco_mode alarm_control battery_alarm battery_number
  battery_open_status_check battery_voltage_reports_one_pack bypass_alarm bypass_forbidding
  bypass_when_off cablepower chargetime constant_phase_angle converter_mode eco_mode fault_1
  fault_2 fault_3 fault_4 fault_5 idleload ignoresab input_fault_voltage langid_fix
  limited_runtime_on_battery max_bypass_freq max_bypass_volt min_bypass_freq min_bypass_volt
  nominal_cell_voltage norating noscanlangid novendor number_of_battery_cells offdelay ondelay
  output_phase_angle output_voltages pins_shutdown_mode pollfreq protocol recharge_time
  reset_to_default runtime_full runtime_half runtimecal series site_fault_detection
  slave_address stayoff subdriver testing work_range_type
nutdrv_siemens-sitop: max_polls_without_data
oneac: offdelay testtime
optiups: fake_lowbatt nowarn_noimp powerup status_only
phoenixcontact_modbus:
pijuice: i2c_address
powercom: batteryPercentage frequency linevoltage loadPercentage manufacturer
  methodOfFlowControl modelname nobt numOfBytesFromUPS serialnumber shutdownArguments type
  validationSequence voltage
powerman-pdu:
powerpanel: manufacturer model offdelay ondelay protocol serial
rhino: battext
richcomm_usb:
riello_ser:
riello_usb: USB
safenet: manufacturer modelname offdelay ondelay serialnumber
sms_ser: rebootdelay
snmp-ups: authPassword authProtocol community mibs notransferoids offdelay ondelay pollfreq
  privPassword privProtocol secLevel secName semistaticfreq snmp_retries snmp_timeout
  snmp_version symmetrathreephase
socomec_jbus:
solis: battext daysoff daysweek houroff houron prgshut
tripplite: offdelay rebootdelay startdelay
tripplite_usb: USB battery_max battery_min offdelay upsid
tripplitesu: lowbatt
upscode2: baudrate full_update input_timeout manufacturer output_pace use_crlf use_pre_lf
usbhid-ups: USB disable_fix_report_desc explore interruptonly interruptsize lowbatt maxreport
  offdelay ondelay onlinedischarge onlinedischarge_calibration pollfreq pollonly subdriver
  waitbeforereconnect
victronups: modelname usd
"""
# Written by this project: publishes a virtual UPS for each tier, and never cuts.
OURS = frozenset({"releve-policy"})
# Once in NUT, not in 2.8: the successor.
GONE = {
    "blazer": "nutdrv_qx",
    "cpsups": "powerpanel",
    "cyberpower": "powerpanel",
    "energizerups": "usbhid-ups",
    "esupssmart": "genericups",
    "fentonups": "nutdrv_qx",
    "hidups": "usbhid-ups",
    "ippon": "nutdrv_qx",
    "ippon_usb": "nutdrv_qx",
    "liebertgxt2": "liebert-esp2",
    "megatec": "nutdrv_qx",
    "megatec_usb": "nutdrv_qx",
    "mtreups": "masterguard",
    "mustek": "nutdrv_qx",
    "newhidups": "usbhid-ups",
    "newmge-shut": "mge-shut",
    "newpowercom": "powercom",
    "nitram": "powerpanel",
    "oldmge-shut": "mge-shut",
    "powermust": "nutdrv_qx",
    "pw": "bcmxcp",
    "sec": "nutdrv_qx",
    "sms": "nutdrv_qx",
    "toshiba1500": "genericups",
    "usb-hid-ups": "usbhid-ups",
    "usbhid": "usbhid-ups",
}
# Speak over a serial line alone (man pages of 2.8.1).
SERIAL = frozenset(
    [
        "apcsmart", "apcsmart-old", "bcmxcp", "belkin", "belkinunv", "bestfcom", "bestfortress",
        "bestuferrups", "bestups", "blazer_ser", "etapro", "everups", "gamatronic", "genericups",
        "isbmex", "ivtscd", "liebert", "liebert-esp2", "masterguard", "metasys", "mge-utalk",
        "microdowell", "microsol-apc", "oneac", "optiups", "powerpanel", "rhino", "riello_ser",
        "safenet", "sms_ser", "solis", "tripplite", "tripplitesu", "upscode2", "victronups",
    ]
)  # fmt: skip
# Charge and runtime are worked out from the voltage.
Q_PROTOCOL = frozenset(["blazer_ser", "blazer_usb", "nutdrv_qx"])
# Whose ondelay is in minutes.
MINUTES_ON = frozenset(["blazer_ser", "blazer_usb", "mge-utalk", "powerpanel", "safenet"])
# Seconds until the output goes off, unless `offdelay` says otherwise (their man pages).
OFF_DEFAULT = {
    "usbhid-ups": 20,
    "mge-shut": 20,
    "blazer_ser": 30,
    "blazer_usb": 30,
    "nutdrv_qx": 30,
}
# Until it comes on again, where that counts from the command, too (in Q protocols it does not).
ON_DEFAULT = {"usbhid-ups": 30, "mge-shut": 30}


def _options() -> dict[str, frozenset[str]]:
    found: dict[str, str] = {}
    driver = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            driver, _, line = line.partition(":")  # noqa: PLW2901
        found[driver] = f"{found.get(driver, '')} {line}"
    return {
        driver: frozenset(words.lower().replace("usb ", f"{_USB} ", 1).split())
        for driver, words in ((one, f"{text} ") for one, text in found.items())
    }


OPTIONS = _options()  # in lower case: a driver reads its own without minding capitals
USB = frozenset(driver for driver, options in OPTIONS.items() if options >= USB_MATCH)
# Find their device by themselves; every other is told the line, the address or the file.
FIND = USB | {"bcmxcp_usb", "nut-ipmipsu", "nutdrv_atcl_usb", "richcomm_usb"}
