// SPDX-License-Identifier: Apache-2.0
//
// engine_ctrl: state of the engine as a whole, the erasure of its secrets, and the alerts.
//
//   WIPE --erased, no burst under way--> NO_KEY --key--> SETUP --installed--> READY
//   any --zeroize or reset--> WIPE          READY --fatal--> FATAL --zeroize--> WIPE
//
// Fatal is any bit of fatal_set (a wrong tag; a state that does not exist in the command unit,
// the write map, the write path or the key unit), and a key unit that drops its key unasked.
// Fatal during WIPE shows when WIPE ends. fatal_event is the entry into FATAL, whatever led there.
//
// engine_ready is high in READY only; everything that could release data hangs on it.
// Zeroize and fatal are one abort: both end the command under way (fatal_now, zeroize) and
// clear keys and all that is derived from them: registers (ku_zeroize, wipe_all, wipe_keyed),
// tables and keystream buffers word by word. The buffers are swept after the AES lanes have run
// empty. A sweep under way goes on whatever is asked meanwhile; no key comes before it is over.
// Duration    registers: the pin 1 cycle, the command 2 (it passes the command unit), fatal 1;
//             keystream buffers 32 + KS_WORDS cycles; tables see key_unit.
//
// SEC_CM: KEY.WIPE - zeroize, a fatal error and reset erase keys and everything derived from them.
// SEC_CM: FATAL.STICKY - FATAL ends only with zeroize or reset.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module engine_ctrl #(
    parameter KS_WORDS = 256  // words of the larger keystream buffer, power of two
) (
    input  wire                        clk,
    input  wire                        rst,

    input  wire                        zeroize,
    input  wire [3:0]                  fatal_set,
    input  wire                        access_fault,   // an access was refused or failed
    input  wire                        window_fail,    // a window was closed without success

    input  wire                        ku_no_key,
    input  wire                        ku_ready,
    input  wire                        any_busy,

    output reg  [2:0]                  state,
    output wire                        engine_ready,
    output wire                        key_enable,   // a key may be offered to the key unit
    output wire                        fatal_now,
    output wire                        fatal_event,
    output reg                         alert_recov,
    output wire                        alert_fatal,
    output wire                        ku_zeroize,
    output wire                        wipe_all,
    output wire                        wipe_keyed,
    output wire                        ks_wipe,
    output wire [$clog2(KS_WORDS)-1:0] ks_wipe_addr
);

    localparam AW          = $clog2(KS_WORDS);
    localparam FLUSH       = 32;            // cycles until the AES lanes are empty, with room to spare
    localparam [31:0] LAST = FLUSH + KS_WORDS - 1;

    reg          wiping, fatal, sweeping;
    reg          had_key, was_fatal;
    reg  [15:0]  sweep;
    wire [15:0]  sweep_addr = sweep - FLUSH[15:0];

    assign fatal_now    = (fatal_set != 4'd0) || (had_key && !ku_ready);
    assign ku_zeroize   = zeroize || fatal_now;
    assign wipe_all     = zeroize;
    assign wipe_keyed   = fatal_now;
    assign ks_wipe      = sweeping && (sweep >= FLUSH);
    assign ks_wipe_addr = sweep_addr[AW-1:0];

    always @(posedge clk) begin
        if (rst) begin
            wiping   <= 1'b1;
            fatal    <= 1'b0;
            sweeping <= 1'b1;
            sweep    <= 16'd0;
            had_key  <= 1'b0;
        end else begin
            had_key <= engine_ready && !ku_zeroize;
            if (zeroize)        fatal <= 1'b0;
            else if (fatal_now) fatal <= 1'b1;
            if (zeroize)                                            wiping <= 1'b1;
            else if (wiping && !sweeping && ku_no_key && !any_busy) wiping <= 1'b0;
            if (sweeping) begin
                sweep    <= sweep + 16'd1;
                sweeping <= (sweep != LAST[15:0]);
            end else if (ku_zeroize) begin
                sweep    <= 16'd0;
                sweeping <= 1'b1;
            end
        end
    end

    always @* begin
        if      (wiping)    state = `TTEE_STATE_WIPE;
        else if (fatal)     state = `TTEE_STATE_FATAL;
        else if (ku_ready)  state = `TTEE_STATE_READY;
        else if (ku_no_key) state = `TTEE_STATE_NO_KEY;
        else                state = `TTEE_STATE_SETUP;
    end

    assign engine_ready = (state == `TTEE_STATE_READY);
    assign key_enable   = (state == `TTEE_STATE_NO_KEY);
    assign alert_fatal  = (state == `TTEE_STATE_FATAL);
    assign fatal_event  = alert_fatal && !was_fatal;

    always @(posedge clk) begin
        if (rst) begin
            was_fatal   <= 1'b0;
            alert_recov <= 1'b0;
        end else begin
            was_fatal   <= alert_fatal;
            alert_recov <= access_fault || (window_fail && !fatal_now);
        end
    end

    wire _unused = &{1'b0, sweep_addr};

endmodule

`resetall
